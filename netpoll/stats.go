package netpoll

// Stats are counters since the start, unless marked as a gauge.
type Stats struct {
	Accepted        uint64 // connections taken from the listeners
	AcceptErrors    uint64 // accept failures, descriptor limit included
	AcceptWaits     uint64 // how often connections had to wait for Config.AcceptRate
	AcceptPauses    uint64 // how often they had to wait for a loop that had as many arrivals as it may
	HandshakeErrors uint64 // requests answered with 4xx by this package
	HandshakeExpiry uint64 // heads that did not arrive in time
	HandshakeDrops  uint64 // heads that were not complete when others needed their place
	CloseExpiry     uint64 // close handshakes and refusals that Config.CloseTimeout cut off
	HandedOff       uint64 // connections given to HandedOff
	Upgraded        uint64
	Refused         uint64 // by the Handler's verdict
	Closed          [Causes]uint64

	FramesIn, MessagesIn, BytesIn  uint64 // BytesIn: socket bytes, heads included
	ReadsIn                        uint64 // read calls
	BytesUnread                    uint64 // read, but not decoded, since the connection ended while reading was stopped
	FramesOut, WritesOut, BytesOut uint64 // frames queued, write calls, bytes that the kernel took
	Pauses                         uint64
	PausedSeconds                  uint64 // for which reading was stopped, of all connections together
	Turns                          uint64 // of the loops
	Descriptors, Open, Handshaking int64  // gauges: connection descriptors; open; head not complete
	Closing, Paused                int64  // gauges: close handshake under way; reading stopped
	Parked                         int64  // gauge: handshakes whose decision is postponed
	PendingBytes, AssemblyBytes    int64  // gauges: in outboxes; in messages that are not complete
	Tasks                          int64  // gauge: in mailboxes
	Arriving                       int64  // gauge: accepted, and not yet looked at by their loop

	Budgets [Budgets]BudgetStats // of the whole server

	Handshakes Histogram // from accepting a connection to its upgrade
	TurnTimes  Histogram // of the loops' turns, without waiting
}

// add adds t to s.
func (s *Stats) add(t *Stats) {
	for _, p := range []struct {
		to   *uint64
		from uint64
	}{
		{&s.Accepted, t.Accepted}, {&s.AcceptErrors, t.AcceptErrors}, {&s.AcceptWaits, t.AcceptWaits}, {&s.AcceptPauses, t.AcceptPauses},
		{&s.HandshakeErrors, t.HandshakeErrors}, {&s.HandshakeExpiry, t.HandshakeExpiry},
		{&s.HandshakeDrops, t.HandshakeDrops}, {&s.CloseExpiry, t.CloseExpiry},
		{&s.HandedOff, t.HandedOff}, {&s.Upgraded, t.Upgraded}, {&s.Refused, t.Refused},
		{&s.FramesIn, t.FramesIn}, {&s.MessagesIn, t.MessagesIn}, {&s.BytesIn, t.BytesIn}, {&s.ReadsIn, t.ReadsIn},
		{&s.BytesUnread, t.BytesUnread},
		{&s.FramesOut, t.FramesOut}, {&s.WritesOut, t.WritesOut}, {&s.BytesOut, t.BytesOut},
		{&s.Pauses, t.Pauses}, {&s.Turns, t.Turns}, {&s.PausedSeconds, t.PausedSeconds},
	} {
		*p.to += p.from
	}
	for _, p := range []struct {
		to   *int64
		from int64
	}{
		{&s.Descriptors, t.Descriptors}, {&s.Open, t.Open}, {&s.Handshaking, t.Handshaking},
		{&s.Closing, t.Closing}, {&s.Paused, t.Paused}, {&s.PendingBytes, t.PendingBytes},
		{&s.AssemblyBytes, t.AssemblyBytes}, {&s.Parked, t.Parked}, {&s.Tasks, t.Tasks},
		{&s.Arriving, t.Arriving},
	} {
		*p.to += p.from
	}
	for i, n := range t.Closed {
		s.Closed[i] += n
	}
	s.Handshakes.add(&t.Handshakes)
	s.TurnTimes.add(&t.TurnTimes)
}
