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
	Resumed                        uint64 // connections that got another transport
	ResumesMissed                  [Misses]uint64
	WentAway                       uint64 // how often one has lost its transport and was kept
	AwayExpiry                     uint64 // connections that ended since Config.ResumeFor was over
	AwayGaveWay                    uint64 // connections that were away and ended for others: Conn.GiveWay
	ResumeOverruns                 uint64 // how often what was kept was given up as too much; a connection that is away has ended then
	SentAgain                      uint64 // messages sent again
	Farewells                      uint64 // clients that came back to a session that the app had closed
	Suspended                      uint64 // connections that Suspend has ended
	FarewellsForgotten             uint64 // closes by the app that were forgotten before Config.ResumeFor was over, as they were too many
	Descriptors, Open, Handshaking int64  // gauges: connection descriptors; open; head not complete
	Closing, Paused                int64  // gauges: close handshake under way; reading stopped
	Parked                         int64  // gauge: handshakes whose decision is postponed
	Away, Resumable                int64  // gauges: of Open, those without a transport, and all that asked to be resumable
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
		{&s.Resumed, t.Resumed}, {&s.WentAway, t.WentAway}, {&s.AwayExpiry, t.AwayExpiry}, {&s.AwayGaveWay, t.AwayGaveWay},
		{&s.ResumeOverruns, t.ResumeOverruns}, {&s.SentAgain, t.SentAgain}, {&s.Farewells, t.Farewells},
		{&s.FarewellsForgotten, t.FarewellsForgotten}, {&s.Suspended, t.Suspended},
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
		{&s.Arriving, t.Arriving}, {&s.Away, t.Away}, {&s.Resumable, t.Resumable},
	} {
		*p.to += p.from
	}
	for i, n := range t.Closed {
		s.Closed[i] += n
	}
	for i, n := range t.ResumesMissed {
		s.ResumesMissed[i] += n
	}
	s.Handshakes.add(&t.Handshakes)
	s.TurnTimes.add(&t.TurnTimes)
}
