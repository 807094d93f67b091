package scenario

import (
	"slices"

	"ws-gateway/bench/load"
)

// RoundTrip measures client → gateway → callback → app → send API → gateway →
// client, or → the callback's answer in place of the send API.
type RoundTrip struct {
	Traffic
	Conns []int    `default:"1000" placeholder:"N" help:"Connections; several numbers are several cases."`
	Reply []string `default:"send" enum:"send,answer" placeholder:"HOW" help:"How the app replies: send (through the send API), answer (in the callback's answer, --callback-reply); several are several cases."`
}

// Cases are one for each number of connections and way to reply.
func (t RoundTrip) Cases(Options) (cases []Case, err error) {
	m, err := load.Event(t.Size)
	if err := firstOf(t.possible(), possible("--conns", t.Conns...), err); err != nil {
		return nil, err
	}
	for _, conns := range t.Conns {
		for _, reply := range t.Reply {
			name := t.describe(conns)
			if reply == "answer" {
				name += ", reply in the callback's answer"
			}
			cases = append(cases, Case{Scenario: "roundtrip", Name: name, Gateway: true, round: func(s *stage) {
				s.roundTrip(conns, reply == "answer", t.Traffic, m)
			}})
		}
	}
	return cases, nil
}

func (s *stage) roundTrip(conns int, reply bool, t Traffic, m *load.Message) {
	forSink, forGateway := []string(nil), slices.Clone(patient)
	if reply {
		forSink, forGateway = []string{"--reply"}, append(forGateway, "--callback-reply")
	}
	gateway, app := s.around(forSink, forGateway)
	r, used := s.traffic(s.users(gateway, conns), t, m, gateway, app.Process)
	s.told(app, conns, gateway)
	if r.Messages == 0 {
		s.note(noReply)
		return
	}
	s.add("round trips", "1/s", r.Rate())
	s.add("gateway CPU, a million", "s", used[0].perMillion(r.Messages))
	s.addServer("gateway", used[0], r)
	s.add("app CPU, a million (not the gateway's)", "s", used[1].perMillion(r.Messages))
	s.addTraffic(r)
}
