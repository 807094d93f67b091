package scenario

import (
	"fmt"

	"ws-gateway/bench/child"
	"ws-gateway/bench/load"
)

// Echo measures messages through netpoll's echo server.
type Echo struct {
	Traffic
	Conns  []int  `default:"1000,10000" placeholder:"N" help:"Connections; several numbers are several cases."`
	Opcode string `default:"binary" enum:"binary,text" help:"Kind of message: binary or text."`
}

// Cases are one for each number of connections.
func (e Echo) Cases(o Options) (cases []Case, err error) {
	op, loops := byte(load.Binary), EchoLoops(o.Loops, o.Threads)
	suffix := fmt.Sprintf(", server loops: %d", loops)
	if e.Opcode == "text" {
		op, suffix = load.Text, ", text"+suffix
	}
	m, err := load.Bare(op, e.Size)
	if err := firstOf(e.possible(), possible("--conns", e.Conns...), err); err != nil {
		return nil, err
	}
	for _, conns := range e.Conns {
		cases = append(cases, Case{Scenario: "echo", Name: e.describe(conns) + suffix, round: func(s *stage) {
			s.echo(s.echoServer(loops), conns, e.Traffic, m)
		}})
	}
	return cases, nil
}

// firstOf is the first of the errors that is one.
func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

const noReply = "no reply arrived in the time that is measured: no figures; it is too short for this machine"

// echo measures any server that echoes.
func (s *stage) echo(server *child.Process, conns int, t Traffic, m *load.Message) {
	c := s.connect(load.Config{Target: server.Addr(), Deflate: m.Deflated()}, conns)
	r, used := s.traffic(c, t, m, server)
	if r.Messages == 0 {
		s.note(noReply)
		return
	}
	s.add("messages", "1/s", r.Rate())
	s.add("server CPU, a million", "s", used[0].perMillion(r.Messages))
	s.addServer("server", used[0], r)
	s.addTraffic(r)
}
