package scenario

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"ws-gateway/bench/load"
)

// Push measures the management API → gateway → connections.
type Push struct {
	Conns   []int    `default:"1000" placeholder:"N" help:"Connections; several numbers are several cases."`
	To      []string `default:"conn,user,users" enum:"conn,user,users" placeholder:"WHOM" help:"What a call names: conn (one connection, by its id), user (one user with several), users (several users of one each); several are several cases."`
	Per     int      `default:"10" placeholder:"N" help:"Connections that a call to user or users reaches."`
	Callers int      `default:"16" placeholder:"N" help:"Connections to the management API, each with one call under way."`
	Size    int      `default:"64" placeholder:"BYTES" help:"Payload of a message."`
	Rate    float64  `default:"0" placeholder:"N" help:"Calls a second, timed from when they are due (open loop). 0: closed loop."`
	Window
}

var errOneThread = errors.New("--threads must be 1 here: one thread makes the calls and sees all deliveries")

// Cases are one for each number of connections and way to name them.
func (p Push) Cases(o Options) (cases []Case, err error) {
	t := Traffic{Size: p.Size, Rate: p.Rate, Window: p.Window}
	m, err := load.Event(p.Size)
	if err := firstOf(t.possible(), possible("--conns", p.Conns...), err); err != nil {
		return nil, err
	}
	if p.Callers < 1 {
		return nil, errors.New("--callers must be at least 1")
	}
	if o.Threads != 1 {
		return nil, errOneThread
	}
	for _, conns := range p.Conns {
		for _, to := range p.To {
			one := push{to, conns, p.Per, p.Callers, t, m}
			if to == "conn" {
				one.per = 1
			}
			if one.per < 1 || one.per > conns {
				return nil, fmt.Errorf("--per: a call cannot reach %d of %d connections", one.per, conns)
			}
			cases = append(cases, Case{Scenario: "push", Name: one.name(), Gateway: true, round: one.round})
		}
	}
	return cases, nil
}

type push struct {
	to                  string
	conns, per, callers int
	load                Traffic // its rate is calls a second
	message             *load.Message
}

func (p push) name() string {
	name := count(p.conns) + " connections, "
	switch p.to {
	case "conn":
		name += "each call to one"
	case "user":
		name += fmt.Sprintf("each call to a user with %s", count(p.per))
	default:
		name += fmt.Sprintf("each call to %s users", count(p.per))
	}
	return name + fmt.Sprintf(", %s B, %s callers", count(p.load.Size), count(p.callers)) + p.load.loop()
}

func (p push) round(s *stage) {
	gateway := s.gateway("", patient...)
	header := identity(0)
	if p.to == "user" {
		header = func(dst []byte, conn int) []byte { return identity(0)(dst, conn/p.per) }
	}
	c := s.connect(load.Config{Target: gateway.Addr(), Header: header}, p.conns)
	groups := must(p.groups(must(connected(gateway.Addr()))))
	s.show("warming up")
	x := must(c.Push(load.Calls{API: gateway.Addr(), Message: p.message, Groups: groups, Callers: p.callers, Rate: p.load.Rate}))
	r, used := window(s, x, p.load.Window, gateway)
	if r.Calls == 0 || r.Messages == 0 {
		check(fmt.Errorf("%d calls were answered and %d deliveries came in %v", r.Calls, r.Messages, r.Elapsed))
	}
	p.figures(s, r, used[0])
}

// groups are the targets of the calls: per connections each.
func (p push) groups(who roster) ([]load.Group, error) {
	var groups []load.Group
	for first := 0; first+p.per <= p.conns; first += p.per {
		g := load.Group{First: first, Count: p.per}
		switch p.to {
		case "conn":
			ids := who[user(first)]
			if len(ids) != 1 {
				return nil, fmt.Errorf("%s has %d connections, not 1", user(first), len(ids))
			}
			g.To = fmt.Sprintf(`"conn_id":%q`, ids[0])
		case "user":
			g.To = usersMember(first/p.per, 1)
		default:
			g.To = usersMember(first, p.per)
		}
		groups = append(groups, g)
	}
	return groups, nil
}

func (p push) figures(s *stage, r load.PushResult, used cost) {
	s.add("calls", "1/s", float64(r.Calls)/r.Elapsed.Seconds())
	s.add("deliveries", "1/s", r.Rate())
	s.add("gateway CPU, a million calls", "s", used.perMillion(r.Calls))
	s.add("gateway CPU, a million deliveries", "s", used.perMillion(r.Messages))
	s.add("gateway busy, of one processor", "%", used.busy(r.Elapsed))
	s.add("gateway sleeps, a thousand calls", "", used.sleeps(r.Calls))
	s.percentiles("answer", milliseconds(r.Answer), 50, 99)
	if p.per > 1 {
		s.percentiles("to the last", milliseconds(r.Last), 50, 99)
	}
	s.addTraffic(r.Result)
}

// milliseconds reads percentiles of nanoseconds.
func milliseconds(h *hdrhistogram.Histogram) func(p float64) float64 {
	return func(p float64) float64 { return float64(h.ValueAtPercentile(p)) / float64(time.Millisecond) }
}

// roster is the connections' ids by user.
type roster map[string][]string

// connected asks the gateway who is connected.
func connected(gateway netip.AddrPort) (roster, error) {
	body, err := callAPI(gateway, "GET", "/tapr/ws/conn/list", nil)
	if err != nil {
		return nil, fmt.Errorf("listing the connections: %w", err)
	}
	return readList(body)
}

func readList(body []byte) (roster, error) {
	var list struct {
		Code    int
		Message string
		Data    []struct {
			Name  string
			Conns []struct{ ID string }
		}
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("reading the list of connections: %w", err)
	}
	if list.Code != 0 {
		return nil, fmt.Errorf("the list of connections is refused: %s", list.Message)
	}
	who := make(roster, len(list.Data))
	for _, user := range list.Data {
		for _, conn := range user.Conns {
			who[user.Name] = append(who[user.Name], conn.ID)
		}
	}
	return who, nil
}
