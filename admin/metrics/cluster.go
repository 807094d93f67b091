package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"ws-gateway/cluster"
	"ws-gateway/cluster/stream"
)

// clusterTable has the metrics of a gateway that is one of several.
var clusterTable = []family{
	gauge("cluster_link_up", "1 while NATS is reached, and lets this gateway use its subjects.", func(s *snapshot) int64 { return int64(oneIf(s.cluster.Bus.Up)) }),
	counter("cluster_links_total", "Times that NATS was reached anew.", func(s *snapshot) uint64 { return s.cluster.Bus.Links }),
	gauge("cluster_instances", "Other gateways of the cluster that are known.", func(s *snapshot) int64 { return s.cluster.Members }),
	gauge("cluster_instances_silent", "Other gateways of the cluster that are known and not heard: answers name them as missing.", func(s *snapshot) int64 { return s.cluster.Silent }),
	gauge("cluster_whole", "1 while NATS is reached and all other gateways are known, though some may be silent; otherwise answers have * among those that are missing.", func(s *snapshot) int64 { return int64(oneIf(s.cluster.Whole)) }),
	gauge("cluster_known_instances", "Other gateways of the cluster of which it is known which users and groups are there; the rest get every message.", func(s *snapshot) int64 { return s.cluster.Known }),
	gauge("cluster_told_names", "Users and groups here that the others have been told of.", func(s *snapshot) int64 { return s.cluster.Told }),
	gauge("cluster_known_names", "Users and groups at the others, once for each gateway that has them.", func(s *snapshot) int64 { return s.cluster.Names }),
	counter("cluster_names_asked_again_total", "Times that something which another gateway told of its users and groups was missed: it is asked for all of them.", func(s *snapshot) uint64 { return s.cluster.Resyncs }),
	counter("cluster_messages_skipped_total", "Messages that were not sent to a gateway, which has no target.", func(s *snapshot) uint64 { return s.cluster.Skipped }),
	counter("cluster_messages_repaired_total", "Messages that were sent to a gateway after all, or to more of their users there: it has told of them since.", func(s *snapshot) uint64 { return s.cluster.Repaired }),
	counter("cluster_messages_skips_over_total", "Messages that were not sent to a gateway and cannot be any more: it has told of no target within --cluster-hold.", func(s *snapshot) uint64 { return s.cluster.Expired }),
	counter("cluster_messages_skips_in_doubt_total", "Of those in cluster_messages_skips_over_total the ones that may have had a target there all the same, and are lost then: nothing was heard of that gateway since, for as long as they could be sent.", func(s *snapshot) uint64 { return s.cluster.Unheard }),
	counter("cluster_messages_unskipped_total", "Messages that went to all gateways, as there was no memory (--cluster-buffer) to send them later to those that need them.", func(s *snapshot) uint64 { return s.cluster.Crowded }),
	gauge("cluster_calls_waiting", "Calls that wait for other gateways' answers.", func(s *snapshot) int64 { return s.cluster.Waiting }),
	counter("cluster_calls_done_total", "Calls of other gateways that were done here.", func(s *snapshot) uint64 { return s.cluster.Executed }),
	gauge("cluster_watches", "Streams of live events of readers at other gateways, which ask for what happens here.", func(s *snapshot) int64 { return s.cluster.Watches }),
	counter("cluster_calls_unanswered_total", "Calls of other gateways that were done here and whose answer could not be sent.", func(s *snapshot) uint64 { return s.cluster.Unanswered }),
	counter("cluster_journal_records_total", "Records of opened and closed connections that JetStream has taken (--cluster-journal).", func(s *snapshot) uint64 { return s.cluster.Journal.Records }),
	counter("cluster_journal_failures_total", "Times that the journal in JetStream could not be written or read, or what is closed not be removed; it is tried again.", func(s *snapshot) uint64 { return s.cluster.Journal.Failures }),
	counter("cluster_journal_dropped_total", "Records that were given up because 16 MiB of them waited, or one was larger than NATS takes: others may send close events too many, or too few.", func(s *snapshot) uint64 { return s.cluster.Journal.Dropped }),
	counter("cluster_journal_compactions_total", "Times that what is closed was removed from the journal in JetStream.", func(s *snapshot) uint64 { return s.cluster.Journal.Compactions }),
	gauge("cluster_journal_waiting_bytes", "Bytes of records that wait for JetStream.", func(s *snapshot) int64 { return s.cluster.Journal.Waiting }),
	gauge("cluster_journal_held_closes", "Close events that wait until they can be recorded, and it is known that no other gateway has sent them.", func(s *snapshot) int64 { return s.cluster.Journal.Held }),
	counter("cluster_journal_unheld_closes_total", "Close events that did not wait, as 65,536 did: the app may get them twice.", func(s *snapshot) uint64 { return s.cluster.Journal.Unheld }),
	counter("cluster_journal_ignored_total", "Messages and subjects of the journal's stream that no gateway has written.", func(s *snapshot) uint64 { return s.cluster.Journal.Ignored }),
	counter("cluster_journal_losses_total", "Times that what was in the journal's stream was lost, and what is open was recorded again.", func(s *snapshot) uint64 { return s.cluster.Journal.Losses }),
	counter("cluster_takeovers_total", "Gateways that were gone, whose connections' close events this one has sent.", func(s *snapshot) uint64 { return s.cluster.Journal.Takeovers }),
	counter("cluster_takeover_closes_total", "Close events that this gateway has sent for connections of gateways that were gone.", func(s *snapshot) uint64 { return s.cluster.Journal.Closed }),
	counter("cluster_messages_sent_total", "Messages to other gateways: calls, answers and what they tell each other.", func(s *snapshot) uint64 { return s.cluster.Sent }),
	counter("cluster_messages_delivered_total", "Messages of other gateways that have arrived.", func(s *snapshot) uint64 { return s.cluster.Delivered }),
	{
		desc: NewDesc("cluster_messages_given_up_total", "Messages that were not held any longer for a gateway that had not confirmed them: too old (--cluster-hold), their memory was needed (--cluster-buffer, full), or NATS takes only shorter messages since a part of them was sent (cut).", "reason"), kind: prometheus.CounterValue,
		labels: reasons(),
		values: func(s *snapshot, to []float64) []float64 { return appendCounts(to, s.cluster.GivenUp[:]...) },
	},
	counter("cluster_messages_lost_total", "Messages of other gateways that never arrived.", func(s *snapshot) uint64 { return s.cluster.Lost }),
	counter("cluster_messages_in_doubt_total", "Messages to gateways that have gone since, which may or may not have had them.", func(s *snapshot) uint64 { return s.cluster.Doubt }),
	counter("cluster_messages_too_long_total", "Messages that were not sent because they are larger than what can be held.", func(s *snapshot) uint64 { return s.cluster.Unsent }),
	gauge("cluster_held_messages", "Messages that are held until other gateways have confirmed them.", func(s *snapshot) int64 { return s.cluster.HeldMessages }),
	gauge("cluster_held_bytes", "Bytes of messages that are held until other gateways have confirmed them.", func(s *snapshot) int64 { return s.cluster.HeldBytes }),
	gauge("cluster_held_bytes_limit", "How many bytes of messages may be held (--cluster-buffer).", func(s *snapshot) int64 { return s.cluster.HoldLimit }),
	{
		desc: NewDesc("cluster_relays", "Clients here whose sessions are at other gateways (client), and sessions here whose clients are at others (session).", "here"), kind: prometheus.GaugeValue,
		labels: []string{"client", "session"},
		values: func(s *snapshot, to []float64) []float64 { return appendCounts(to, s.cluster.Relays.Open[:]...) },
	},
	gauge("cluster_relays_limit", "How many clients of sessions elsewhere, and sessions of clients elsewhere, there may be, each (--cluster-relays).", func(s *snapshot) int64 { return s.cluster.Relays.Limit }),
	gauge("cluster_relay_held_bytes", "Bytes of relays that have arrived and that a client or session has not taken yet; --cluster-buffer is the limit.", func(s *snapshot) int64 { return s.cluster.Relays.Held }),
	{
		desc: NewDesc("cluster_relays_total", "Relays that the gateway with the session has accepted since the start, by which of the two is here.", "here"), kind: prometheus.CounterValue,
		labels: []string{"client", "session"},
		values: func(s *snapshot, to []float64) []float64 { return appendCounts(to, s.cluster.Relays.Opened[:]...) },
	},
	{
		desc: NewDesc("cluster_relay_bytes_total", "Bytes of clients that were passed on to their sessions (client), and of sessions to their clients (session).", "here"), kind: prometheus.CounterValue,
		labels: []string{"client", "session"},
		values: func(s *snapshot, to []float64) []float64 { return appendCounts(to, s.cluster.Relays.Bytes[:]...) },
	},
	{
		desc: NewDesc("cluster_relays_refused_total", "Clients that came back here for sessions at other gateways and were not relayed. They got new ones: the gateway is gone (gone), takes none (unable), ends (refused) or does not have the session (missed). Or 503, and keep their sessions: too many came at once, or from one address (too_many); for --cluster-dead-after at most, and then they got new ones, as many are relayed here as may be (full: also sessions here), the gateway is not heard at the moment (silent), does not answer (late), or has no room or relays as many as it may (busy); the way to it broke before it had answered or the client's next attempt was faster (broken), it restarts with --resume-state (restarting). Or nothing, as they had gone (hung_up).", "reason"), kind: prometheus.CounterValue,
		labels: relayMisses(),
		values: func(s *snapshot, to []float64) []float64 { return appendCounts(to, s.cluster.Relays.Missed[:]...) },
	},
	{
		desc: NewDesc("cluster_relays_displaced_total", "Relays that have ended because there were as many as there may be, their addresses had most, and another address wanted one: the client comes back.", "here"), kind: prometheus.CounterValue,
		labels: []string{"client", "session"},
		values: func(s *snapshot, to []float64) []float64 { return appendCounts(to, s.cluster.Relays.Displaced[:]...) },
	},
	counter("cluster_relays_torn_total", "Relays that have ended because a packet, or the other gateway, was lost, or too much waited: the client comes back.", func(s *snapshot) uint64 { return s.cluster.Relays.Torn }),
	counter("cluster_packets_published_total", "Packets given to NATS.", func(s *snapshot) uint64 { return s.cluster.Bus.Published }),
	counter("cluster_published_bytes_total", "Bytes of packets given to NATS.", func(s *snapshot) uint64 { return s.cluster.Bus.PublishedBytes }),
	counter("cluster_packets_received_total", "Packets that NATS has delivered.", func(s *snapshot) uint64 { return s.cluster.Bus.Received }),
	counter("cluster_received_bytes_total", "Bytes of packets that NATS has delivered.", func(s *snapshot) uint64 { return s.cluster.Bus.ReceivedBytes }),
	counter("cluster_packets_repeated_total", "Packets that were sent again.", func(s *snapshot) uint64 { return s.cluster.Retransmitted }),
	gauge("cluster_publishing_bytes", "Bytes that wait to be given to NATS.", func(s *snapshot) int64 { return s.cluster.Bus.Waiting }),
	gauge("cluster_unread_bytes", "Bytes that have arrived and were not looked at yet.", func(s *snapshot) int64 { return s.cluster.Bus.Unread }),
	{
		desc: NewDesc("cluster_packets_ignored_total", "Packets that were not published, or not taken: NATS was not reached or too much waited for it (link), too much had arrived (unread), calls of their gateway wait (busy), they came too late (late), of a gateway that is not known (stranger: one that does not know yet that it was given up, or somebody else), for another one (astray), or no packets at all (malformed).", "reason"), kind: prometheus.CounterValue,
		labels: []string{"link", "unread", "busy", "late", "stranger", "astray", "malformed"},
		values: func(s *snapshot, to []float64) []float64 {
			c := &s.cluster
			return appendCounts(to, c.Bus.Refused, c.Bus.Dropped, c.Full, c.Late, c.Strangers, c.Astray, c.Malformed)
		},
	},
}

func relayMisses() []string {
	names := make([]string, cluster.RelayMisses)
	for i := range names {
		names[i] = cluster.RelayMiss(i).String()
	}
	return names
}

func reasons() []string {
	names := make([]string, stream.Reasons)
	for i := range names {
		names[i] = stream.Reason(i).String()
	}
	return names
}
