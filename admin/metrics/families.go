package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"ws-gateway/forward"
	"ws-gateway/hub"
	"ws-gateway/netpoll"
)

// family is one metric: a value for each value of its label, or a single value if it has
// no label.
type family struct {
	desc     *prometheus.Desc
	kind     prometheus.ValueType
	labels   []string
	callback bool // absent from a gateway that only pushes
	values   func(s *snapshot, to []float64) []float64
}

// collectFamilies sends a table's metrics of a snapshot.
func collectFamilies(table []family, now *snapshot, out chan<- prometheus.Metric) {
	var values []float64
	for i := range table {
		f := &table[i]
		if f.callback && now.pushOnly {
			continue
		}
		values = f.values(now, values[:0])
		if f.labels == nil {
			out <- prometheus.MustNewConstMetric(f.desc, f.kind, values[0])
			continue
		}
		for i, label := range f.labels {
			out <- prometheus.MustNewConstMetric(f.desc, f.kind, values[i], label)
		}
	}
}

// metricTable has all metrics that come from a snapshot. netpoll.Stats.Refused is not
// among them: the hub counts the same by reason.
var metricTable = []family{
	gauge("connections", "Open WebSocket connections.", func(s *snapshot) int64 { return s.hub.Connections }),
	gauge("users", "User names with an open connection.", func(s *snapshot) int64 { return s.hub.Users }),
	counter("accepted_total", "TCP connections taken from the listeners.", func(s *snapshot) uint64 { return s.sockets.Accepted }),
	counter("accept_errors_total", "Failures to accept. While it grows, clients cannot connect: raise the descriptor limit, or lower --max-connections.", func(s *snapshot) uint64 { return s.sockets.AcceptErrors }),
	counter("accept_pauses_total", "Times that new connections had to wait since a loop had 4,096 that it had not looked at.", func(s *snapshot) uint64 { return s.sockets.AcceptPauses }),
	counter("accept_waits_total", "Times that new connections had to wait for --accept-rate.", func(s *snapshot) uint64 { return s.sockets.AcceptWaits }),
	counter("handshake_errors_total", "Requests on the client path that were malformed.", func(s *snapshot) uint64 { return s.sockets.HandshakeErrors }),
	counter("handshake_timeouts_total", "Connections closed because no whole request head came in time.", func(s *snapshot) uint64 { return s.sockets.HandshakeExpiry }),
	counter("handshakes_dropped_total", "Connections closed because their request head was not complete when others needed the place.", func(s *snapshot) uint64 { return s.sockets.HandshakeDrops }),
	counter("close_timeouts_total", "Connections cut off because the close handshake was not through in time.", func(s *snapshot) uint64 { return s.sockets.CloseExpiry }),
	counter("handed_off_total", "Connections handed to the management server.", func(s *snapshot) uint64 { return s.sockets.HandedOff }),
	counter("upgraded_total", "Connections that became WebSocket connections.", func(s *snapshot) uint64 { return s.sockets.Upgraded }),
	{
		desc: NewDesc("upgrades_refused_total", "Valid handshakes that were refused, by reason.", "reason"), kind: prometheus.CounterValue,
		labels: []string{"user", "origin", "max_connections", "max_connections_per_user", "max_connections_per_ip", "overloaded", "draining", "max_pending_authorizations", "header_memory"},
		values: func(s *snapshot, to []float64) []float64 {
			h := &s.hub
			return appendCounts(to, h.RefusedUser, h.RefusedOrigin, h.RefusedLimit, h.RefusedUserLimit, h.RefusedAddressLimit, h.RefusedOverload, h.RefusedDraining, h.RefusedPending, h.RefusedHead)
		},
	},
	{
		desc: NewDesc("closed_total", "WebSocket connections that ended, by cause.", "cause"), kind: prometheus.CounterValue,
		labels: causes(),
		values: func(s *snapshot, to []float64) []float64 { return appendCounts(to, s.sockets.Closed[:]...) },
	},
	counter("received_frames_total", "WebSocket frames received, control frames included.", func(s *snapshot) uint64 { return s.sockets.FramesIn }),
	counter("received_messages_total", "Whole messages received, pings of the application included.", func(s *snapshot) uint64 { return s.sockets.MessagesIn }),
	counter("received_bytes_total", "Bytes read from clients, request heads included.", func(s *snapshot) uint64 { return s.sockets.BytesIn }),
	counter("pings_total", "Application pings answered.", func(s *snapshot) uint64 { return s.hub.Pings }),
	counter("unforwarded_messages_total", "Messages that came while no callback was configured: nobody has seen them.", func(s *snapshot) uint64 { return s.hub.Dropped }),
	counter("sent_frames_total", "WebSocket frames queued for clients, control frames included.", func(s *snapshot) uint64 { return s.sockets.FramesOut }),
	counter("unread_bytes_total", "Bytes that had been read, and not understood, of connections that ended while their reading was stopped.", func(s *snapshot) uint64 { return s.sockets.BytesUnread }),
	counter("sent_bytes_total", "Bytes that the kernel took for clients.", func(s *snapshot) uint64 { return s.sockets.BytesOut }),
	counter("socket_reads_total", "Read calls; several frames of one connection may come with one.", func(s *snapshot) uint64 { return s.sockets.ReadsIn }),
	counter("socket_writes_total", "Write calls; several frames for one connection share one.", func(s *snapshot) uint64 { return s.sockets.WritesOut }),
	gauge("event_streams", "Streams of live events that are open.", func(s *snapshot) int64 { return s.hub.Taps }),
	counter("event_streams_refused_total", "Streams of live events refused because too many were open.", func(s *snapshot) uint64 { return s.hub.TapsRefused }),
	counter("event_stream_events_total", "Events given to streams of live events.", func(s *snapshot) uint64 { return s.hub.TapEvents }),
	counter("event_stream_dropped_total", "Events that a stream's rate, or its reader, left out.", func(s *snapshot) uint64 { return s.hub.TapDropped }),
	counter("loop_turns_total", "Turns of the event loops.", func(s *snapshot) uint64 { return s.sockets.Turns }),
	counter("paused_seconds_total", "Time for which the reading of connections was stopped, of all of them together.", func(s *snapshot) uint64 { return s.sockets.PausedSeconds }),
	counter("read_pauses_total", "Times that reading from a connection was stopped, to push back on a client whose events the app does not take, or that is over its rate.", func(s *snapshot) uint64 { return s.sockets.Pauses }),
	{
		desc: NewDesc("over_rate_total", "Times that a client went over --message-rate or --byte-rate and was stopped, or closed, for it.", "reason"), kind: prometheus.CounterValue,
		labels: []string{"messages", "bytes"},
		values: func(s *snapshot, to []float64) []float64 {
			return appendCounts(to, s.hub.OverMessageRate, s.hub.OverByteRate)
		},
	},
	{
		desc: NewDesc("sockets", "Client sockets by state: accepted, and not yet looked at; head not complete; open, which those are too that are away and have no socket; close handshake under way.", "state"), kind: prometheus.GaugeValue,
		labels: []string{"arriving", "handshaking", "open", "closing"},
		values: func(s *snapshot, to []float64) []float64 {
			return appendCounts(to, s.sockets.Arriving, s.sockets.Handshaking, s.sockets.Open, s.sockets.Closing)
		},
	},
	gauge("connections_resumable", "Open connections whose client has asked that it can resume its session.", func(s *snapshot) int64 { return s.sockets.Resumable }),
	gauge("connections_away", "Open connections that have lost their transport and wait for their client.", func(s *snapshot) int64 { return s.sockets.Away }),
	counter("connections_went_away_total", "Times that a connection lost its transport and was kept for its client.", func(s *snapshot) uint64 { return s.sockets.WentAway }),
	counter("resumed_total", "Times that a client came back and went on with its session.", func(s *snapshot) uint64 { return s.sockets.Resumed }),
	{
		desc: NewDesc("resume_missed_total", "Clients that wanted to go on with a session and got a new one, by reason: the token is not one of this gateway and this user; the session has ended, or a newer token of it is in use; the client would not have got all messages.", "reason"), kind: prometheus.CounterValue,
		labels: missReasons(),
		values: func(s *snapshot, to []float64) []float64 { return appendCounts(to, s.sockets.ResumesMissed[:]...) },
	},
	counter("resume_gave_way_total", "Connections that were away and have ended as a limit was reached and another client came: at --max-connections of the address that has most of them, at --max-connections-per-user and -per-ip of the same user or address.", func(s *snapshot) uint64 { return s.sockets.AwayGaveWay }),
	counter("resume_expired_total", "Connections that ended since --resume-for was over and their client had not come back.", func(s *snapshot) uint64 { return s.sockets.AwayExpiry }),
	counter("resume_overruns_total", "Times that more messages waited for the acknowledgement of a client than --resume-buffer or --resume-memory allows: it could not resume its session until it had all of them; one that was away has ended.", func(s *snapshot) uint64 { return s.sockets.ResumeOverruns }),
	counter("resume_repeated_messages_total", "Messages sent again to clients that came back.", func(s *snapshot) uint64 { return s.sockets.SentAgain }),
	counter("resume_events_left_out_total", "Events of --resume-event that the app was not sent, since as many of the connection waited as may.", func(s *snapshot) uint64 { return s.hub.ResumesUntold }),
	counter("resume_farewells_total", "Clients that came back to a session that the app had closed, and were told its code.", func(s *snapshot) uint64 { return s.sockets.Farewells }),
	counter("resume_farewells_forgotten_total", "Closes of sessions by the app that were forgotten before --resume-for was over, as more than 16,384 of an event loop waited for their clients: such a client gets a new session.", func(s *snapshot) uint64 { return s.sockets.FarewellsForgotten }),
	gauge("socket_descriptors", "File descriptors held by client sockets.", func(s *snapshot) int64 { return s.sockets.Descriptors }),
	gauge("parked_handshakes", "Handshakes that wait for a verdict.", func(s *snapshot) int64 { return s.sockets.Parked }),
	gauge("paused_connections", "Connections that are not read at the moment.", func(s *snapshot) int64 { return s.sockets.Paused }),
	gauge("pending_bytes", "Bytes that wait for clients to take them.", func(s *snapshot) int64 { return s.sockets.PendingBytes }),
	gauge("assembly_bytes", "Bytes of messages that have arrived in part.", func(s *snapshot) int64 { return s.sockets.AssemblyBytes }),
	gauge("kept_head_bytes", "Bytes of request heads that are kept with connections: user, cookie, forwarded headers, User-Agent.", func(s *snapshot) int64 { return s.hub.HeadBytes }),
	byBudget("memory_used_bytes", "Bytes held of each budget: request heads over 4 KiB, what waits for clients, messages that have arrived in part, messages kept so that sessions can be resumed, what the kernel holds for clients (looked at only where it may be much), management requests, groups with metadata.", prometheus.GaugeValue, func(b *netpoll.BudgetStats) float64 { return float64(b.Used) }),
	byBudget("memory_limit_bytes", "The budgets: --header-memory, --outbox-memory, --message-memory, --resume-memory, --socket-memory, --api-memory, --group-memory; 0: none.", prometheus.GaugeValue, func(b *netpoll.BudgetStats) float64 { return float64(b.Limit) }),
	byBudget("memory_gave_way_total", "Connections that were closed, or not opened, or cannot be resumed, because a budget was used up and they held the most of it; management requests refused; joins of groups that were not done.", prometheus.CounterValue, func(b *netpoll.BudgetStats) float64 { return float64(b.GaveWay) }),
	gauge("mailbox_tasks", "Tasks that wait for an event loop.", func(s *snapshot) int64 { return s.sockets.Tasks }),
	bySendKind("sends_total", "Messages that the app sent, by whom they were for: connections named one by one, some users, everybody, groups.", func(s *hub.Sends) uint64 { return s.Calls }),
	bySendKind("send_targets_total", "Connections that messages of the app were for.", func(s *hub.Sends) uint64 { return s.Matched }),
	bySendKind("send_queued_total", "Connections that took a message which the app sent.", func(s *hub.Sends) uint64 { return s.Queued }),
	bySendKind("send_slow_total", "Connections that were closed when the app sent them a message, because too much waited for them.", func(s *hub.Sends) uint64 { return s.Slow }),
	gauge("groups", "Groups that have a connection.", func(s *snapshot) int64 { return s.hub.Groups }),
	gauge("group_memberships", "Connections in groups: one that is in three counts three times.", func(s *snapshot) int64 { return s.hub.Memberships }),
	byOrigin("group_joins_total", "Groups that connections joined, one for each connection and group, by origin: a call, an answer of the app.", hub.ByClose, func(s *snapshot) []uint64 { return s.hub.Joins[:] }),
	byOrigin("group_leaves_total", "Groups that connections left, one for each connection and group, by origin: a call, an answer of the app, the connection's end.", hub.GroupOrigins, func(s *snapshot) []uint64 { return s.hub.Leaves[:] }),
	counter("group_joins_over_limit_total", "Joins not done because a connection would have been in more than --max-groups-per-connection groups: calls, and groups in answers of the app.", func(s *snapshot) uint64 { return s.hub.GroupsOverLimit }),
	counter("group_joins_unknown_total", "Messages of other gateways that came late for groups, once for each event loop on which it was not known any more who had joined since, as more than 16,384 had: these may have got them, too.", func(s *snapshot) uint64 { return s.hub.JoinsUnknown }),
	counter("group_changes_late_total", "Answers of the app that join or leave groups and found their connection gone.", func(s *snapshot) uint64 { return s.hub.LateRegroups }),
	ofCallbacks(counter("group_changes_unreadable_total", "X-Ws-Join and X-Ws-Leave in answers of the app that could not be read, each with all its names, and so changed nothing; answers of whose head nothing but the status could be read.", func(s *snapshot) uint64 { return s.callbacks.RegroupsUnreadable })),
	gauge("meta_connections", "Connections that the app keeps metadata with.", func(s *snapshot) int64 { return s.hub.Meta.Connections }),
	gauge("meta_bytes", "Bytes that metadata takes; they count in the budget of groups.", func(s *snapshot) int64 { return s.hub.Meta.Bytes }),
	{
		desc: NewDesc("meta_over_memory_total", "Metadata that was not taken, because --group-memory had no room for it, by origin: a call, an answer of the app.", "origin"), kind: prometheus.CounterValue,
		labels: []string{hub.ByCall.String(), hub.ByAnswer.String()},
		values: func(s *snapshot, to []float64) []float64 {
			return appendCounts(to, s.hub.MetaOverMemory, s.callbacks.MetaOverMemory)
		},
	},
	ofCallbacks(counter("meta_unreadable_total", "X-Ws-Meta in answers of the app that could not be metadata, and so changed nothing; answers of whose head nothing but the status could be read.", func(s *snapshot) uint64 { return s.callbacks.MetaUnreadable })),
	counter("log_lines_lost_total", "Log lines that were not written, because whoever reads standard error did not take them or there was no room for them.", func(s *snapshot) uint64 { return s.logLost }),
	gauge("wheel_lag_seconds", "Seconds by which the slowest loop is behind with ping deadlines.", func(s *snapshot) int64 { return s.hub.WheelLag }),
	byAction("callbacks_delivered_total", "Events that the app took, by action.", func(s *snapshot) []uint64 { return s.callbacks.Delivered[:] }),
	byAction("callbacks_failed_total", "Events given up for good, by action: the app will never see them.", func(s *snapshot) []uint64 { return s.callbacks.Failed[:] }),
	ofCallbacks(counter("callbacks_kept_total", "Events that were written down with their sessions (--resume-state), so that the next start delivers them.", func(s *snapshot) uint64 { return s.callbacks.Kept })),
	ofCallbacks(counter("callback_attempts_total", "Callback requests made, repeated ones included.", func(s *snapshot) uint64 { return s.callbacks.Attempts })),
	ofCallbacks(counter("callback_retries_total", "Callback requests that repeated a failed one.", func(s *snapshot) uint64 { return s.callbacks.Retries })),
	ofCallbacks(counter("callback_pipelined_total", "Callback requests that were written behind another one, its answer not awaited.", func(s *snapshot) uint64 { return s.callbacks.Pipelined })),
	{
		desc: NewDesc("callback_outcomes_total", "Callback requests by what came of them; one repeated at once on a new connection counts once.", "outcome"), kind: prometheus.CounterValue,
		labels: outcomesOfCallbacks(), callback: true,
		values: func(s *snapshot, to []float64) []float64 { return appendCounts(to, s.callbacks.Outcomes[:]...) },
	},
	ofCallbacks(counter("callback_heads_unreadable_total", "Answers of the app of whose head, longer than 8 KiB, malformed or not complete, nothing but the status could be read: whatever else they said was not done.", func(s *snapshot) uint64 { return s.callbacks.HeadsUnreadable })),
	ofCallbacks(counter("batches_divided_total", "Times that a batch was divided to find the event that the app does not take.", func(s *snapshot) uint64 { return s.callbacks.Divided })),
	ofCallbacks(counter("batches_partial_total", "Answers that said that the app has taken part of a batch.", func(s *snapshot) uint64 { return s.callbacks.Partial })),
	{
		desc: NewDesc("batches_partial_spoilt_total", "What was wrong with answers that took part of a batch: not readable, so that the whole batch was sent again; ids that were not in the batch.", "reason"), kind: prometheus.CounterValue,
		labels: []string{"unreadable", "unknown_id"}, callback: true,
		values: func(s *snapshot, to []float64) []float64 {
			return appendCounts(to, s.callbacks.PartialUnreadable, s.callbacks.PartialUnknown)
		},
	},
	ofCallbacks(counter("authorizations_refused_total", "Upgrades that the app refused.", func(s *snapshot) uint64 { return s.callbacks.AuthorizationsRefused })),
	ofCallbacks(counter("authorizations_unanswered_total", "Upgrades about which the app gave no usable answer in time: these clients got 503.", func(s *snapshot) uint64 { return s.callbacks.AuthorizationsUnanswered })),
	ofCallbacks(gauge("authorizations_pending", "Upgrades about which the app has not decided yet.", func(s *snapshot) int64 { return s.callbacks.Authorizing })),
	ofCallbacks(counter("replies_total", "Answers of the app that were passed on to clients.", func(s *snapshot) uint64 { return s.callbacks.Replies })),
	{
		desc: NewDesc("replies_spoilt_total", "Answers of the app that could not be passed on as they were meant: over --callback-reply-max or cut short, and so not at all; text that is not UTF-8, as binary; X-Ws-Close without a usable code, without closing.", "reason"), kind: prometheus.CounterValue,
		labels: []string{"too_long", "not_text", "bad_close"}, callback: true,
		values: func(s *snapshot, to []float64) []float64 {
			return appendCounts(to, s.callbacks.RepliesRefused, s.callbacks.RepliesNotText, s.callbacks.RepliesBadClose)
		},
	},
	ofCallbacks(counter("replies_late_total", "Answers of the app that found their connection gone, or too slow.", func(s *snapshot) uint64 { return s.hub.LateReplies })),
	ofCallbacks(counter("app_outages_total", "Times that the app became unreachable.", func(s *snapshot) uint64 { return s.callbacks.Outages })),
	ofCallbacks(counter("dead_letters_total", "Failed events written to the dead-letter file.", func(s *snapshot) uint64 { return s.callbacks.DeadLetters })),
	ofCallbacks(counter("dead_letter_errors_total", "Failed events that could not be written to the dead-letter file: they are lost.", func(s *snapshot) uint64 { return s.callbacks.DeadLetterErrors })),
	ofCallbacks(counter("journal_records_total", "Openings and closings of connections written to the journal.", func(s *snapshot) uint64 { return s.callbacks.Journal.Records })),
	ofCallbacks(counter("journal_errors_total", "Times that the journal could not be written.", func(s *snapshot) uint64 { return s.callbacks.Journal.Failures })),
	ofCallbacks(counter("journal_dropped_total", "Openings and closings that the journal will never have, because the disk was full or too slow.", func(s *snapshot) uint64 { return s.callbacks.Journal.Dropped })),
	ofCallbacks(counter("journal_compactions_total", "Times that closed connections were cleared out of the journal.", func(s *snapshot) uint64 { return s.callbacks.Journal.Compactions })),
	ofCallbacks(gauge("journal_bytes", "Size of the journal on disk, about.", func(s *snapshot) int64 { return s.callbacks.Journal.Bytes })),
	ofCallbacks(gauge("callback_lanes", "Connections with events that wait for the app.", func(s *snapshot) int64 { return s.callbacks.Lanes })),
	ofCallbacks(gauge("callback_lanes_backing_off", "Connections whose next event for the app is repeated after a pause.", func(s *snapshot) int64 { return s.callbacks.Waiting })),
	ofCallbacks(gauge("callback_queue_events", "Events that wait for the app.", func(s *snapshot) int64 { return s.callbacks.Events })),
	ofCallbacks(gauge("callback_queue_bytes", "Bytes of events that wait for the app.", func(s *snapshot) int64 { return s.callbacks.Bytes })),
	ofCallbacks(gauge("callbacks_in_flight", "Callback requests under way.", func(s *snapshot) int64 { return s.callbacks.InFlight })),
	ofCallbacks(gauge("callback_oldest_event_seconds", "Age of the event that waits longest: how far the app is behind.", func(s *snapshot) float64 { return s.callbacks.Oldest.Seconds() })),
	ofCallbacks(gauge("callback_share_bytes", "How much one connection may have waiting for the app, of what the others leave free of --callback-memory.", func(s *snapshot) int64 { return s.callbacks.Share })),
	ofCallbacks(gauge("callback_lanes_over_share", "Connections that are not read because they have more than callback_share_bytes waiting for the app.", func(s *snapshot) int64 { return s.callbacks.Squeezed })),
	ofCallbacks(counter("callback_share_exceeded_total", "Times that a connection had more than callback_share_bytes waiting for the app.", func(s *snapshot) uint64 { return s.callbacks.Squeezes })),
	ofCallbacks(gauge("callback_pressure", "1 while so much waits for the app that no client is read.", func(s *snapshot) float64 { return oneIf(s.callbacks.Pressure) })),
	ofCallbacks(counter("app_troubles_total", "Times that the app began not to take events: it could not be reached, did not answer, failed, or refused every client.", func(s *snapshot) uint64 { return s.callbacks.Troubles })),
	ofCallbacks(gauge("app_trouble", "1 while the app does not take events, for whatever reason; GET /tapr/ws/status and the log say what it is.", func(s *snapshot) float64 { return oneIf(s.callbacks.InTrouble) })),
	ofCallbacks(gauge("app_down", "1 while the app refuses connections.", func(s *snapshot) float64 { return oneIf(s.callbacks.AppDown) })),
}

type number interface{ ~int64 | ~uint64 | ~float64 }

func counter(name, help string, value func(*snapshot) uint64) family {
	return single(name, help, prometheus.CounterValue, value)
}

func gauge[N number](name, help string, value func(*snapshot) N) family {
	return single(name, help, prometheus.GaugeValue, value)
}

func single[N number](name, help string, kind prometheus.ValueType, value func(*snapshot) N) family {
	return family{desc: NewDesc(name, help), kind: kind, values: func(s *snapshot, to []float64) []float64 {
		return append(to, float64(value(s)))
	}}
}

func byAction(name, help string, counts func(*snapshot) []uint64) family {
	return family{desc: NewDesc(name, help, "action"), kind: prometheus.CounterValue, labels: forward.ActionNames(), callback: true,
		values: func(s *snapshot, to []float64) []float64 { return appendCounts(to, counts(s)...) }}
}

func bySendKind(name, help string, count func(*hub.Sends) uint64) family {
	kinds := make([]string, hub.SendKinds)
	for i := range kinds {
		kinds[i] = hub.SendKind(i).String()
	}
	return family{desc: NewDesc(name, help, "target"), kind: prometheus.CounterValue, labels: kinds,
		values: func(s *snapshot, to []float64) []float64 {
			for i := range s.hub.Sends {
				to = append(to, float64(count(&s.hub.Sends[i])))
			}
			return to
		}}
}

// byOrigin is a metric of each reason for which connections join or leave groups: the
// origins before end.
func byOrigin(name, help string, end hub.GroupOrigin, counts func(*snapshot) []uint64) family {
	origins := make([]string, end)
	for i := range origins {
		origins[i] = hub.GroupOrigin(i).String()
	}
	return family{desc: NewDesc(name, help, "origin"), kind: prometheus.CounterValue, labels: origins,
		values: func(s *snapshot, to []float64) []float64 { return appendCounts(to, counts(s)...) }}
}

// byBudget is a metric of each of netpoll's memory budgets, of the API's and of the
// hub's for groups.
func byBudget(name, help string, kind prometheus.ValueType, value func(*netpoll.BudgetStats) float64) family {
	names := make([]string, netpoll.Budgets, netpoll.Budgets+2)
	for i := range names {
		names[i] = netpoll.Budget(i).String()
	}
	names = append(names, "api", "groups")
	return family{desc: NewDesc(name, help, "budget"), kind: kind, labels: names,
		values: func(s *snapshot, to []float64) []float64 {
			for i := range s.sockets.Budgets {
				to = append(to, value(&s.sockets.Budgets[i]))
			}
			groups := netpoll.BudgetStats{Limit: s.hub.GroupMemory, Used: s.hub.GroupBytes, GaveWay: s.hub.GroupsOverMemory}
			return append(to, value(&s.api), value(&groups))
		}}
}

func ofCallbacks(f family) family {
	f.callback = true
	return f
}

func appendCounts[N number](to []float64, counts ...N) []float64 {
	for _, n := range counts {
		to = append(to, float64(n))
	}
	return to
}

func outcomesOfCallbacks() []string {
	names := make([]string, forward.Outcomes)
	for i := range names {
		names[i] = forward.Outcome(i).Label()
	}
	return names
}

func missReasons() []string {
	names := make([]string, netpoll.Misses)
	for i := range names {
		names[i] = netpoll.Missed(i).String()
	}
	return names
}

func causes() []string {
	names := make([]string, netpoll.Causes)
	for i := range names {
		names[i] = netpoll.Cause(i).String()
	}
	return names
}
