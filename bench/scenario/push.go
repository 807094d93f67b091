package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"ws-gateway/bench/child"
	"ws-gateway/bench/load"
)

// PushTarget is what each call of Push names.
type PushTarget string

// The targets of Push.
const (
	PushConn  PushTarget = "conn"  // one connection, by its id
	PushUser  PushTarget = "user"  // one user, who has several connections
	PushUsers PushTarget = "users" // several users of one connection each
)

// Push measures the management API → gateway → connections. Each call reaches per
// connections, which is 1 for PushConn, and callers calls are under way at one
// time. The rate of t is calls a second.
func Push(to PushTarget, conns, per, callers int, t Traffic) (Case, error) {
	m, err := load.Event(t.Size)
	if err != nil {
		return Case{}, err
	}
	if to == PushConn {
		per = 1
	}
	if per < 1 || per > conns {
		return Case{}, fmt.Errorf("a call cannot reach %d of %d connections", per, conns)
	}
	p := push{to, conns, per, callers, t, m}
	return Case{Scenario: "push", Name: p.name(), round: p.round}, nil
}

type push struct {
	to                  PushTarget
	conns, per, callers int
	traffic             Traffic
	message             *load.Message
}

func (p push) name() string {
	name := count(p.conns) + " connections, "
	switch p.to {
	case PushConn:
		name += "each call to one"
	case PushUser:
		name += fmt.Sprintf("each call to a user with %s", count(p.per))
	default:
		name += fmt.Sprintf("each call to %s users", count(p.per))
	}
	name += fmt.Sprintf(", %s B, %s callers", count(p.traffic.Size), count(p.callers))
	if p.traffic.Rate > 0 {
		return name + fmt.Sprintf(", open loop at %s/s", count(int(p.traffic.Rate)))
	}
	return name + ", closed loop"
}

// goal is section 4's "send API to one connection, a million calls".
func (p push) goal() float64 {
	if p.to != PushConn || p.conns != 1_000 || p.traffic.Size != 64 || p.traffic.Rate != 0 {
		return 0
	}
	return 30
}

// oneThread is the stage for a client that pushes.
func (s stage) oneThread() stage {
	env := *s.Env
	env.Threads = 1
	s.Env = &env
	return s
}

func (p push) round(ctx context.Context, s stage) (outcome, error) {
	s = s.oneThread()
	gateway, err := s.Servers.startGateway(ctx, "", patient)
	if err != nil {
		return outcome{}, err
	}
	defer gateway.Stop(stopGrace)
	header := identity(0)
	if p.to == PushUser {
		header = func(dst []byte, conn int) []byte { return identity(0)(dst, conn/p.per) }
	}
	c, err := s.connect(ctx, load.Config{Target: gateway.Addr(), Header: header}, p.conns)
	if err != nil {
		return outcome{}, err
	}
	defer c.Close()
	who, err := connected(ctx, gateway)
	if err != nil {
		return outcome{}, err
	}
	groups, err := p.groups(who)
	if err != nil {
		return outcome{}, err
	}
	r, used, err := p.window(ctx, s, c, groups, gateway)
	if err != nil {
		return outcome{}, err
	}
	if r.Calls == 0 || r.Messages == 0 {
		return outcome{}, fmt.Errorf("%d calls were answered and %d deliveries came in %v", r.Calls, r.Messages, r.Elapsed)
	}
	return p.figures(s, r, used), nil
}

// groups are the targets of the calls: per connections each.
func (p push) groups(who roster) ([]load.Group, error) {
	var groups []load.Group
	for first := 0; first+p.per <= p.conns; first += p.per {
		g := load.Group{First: first, Count: p.per}
		switch p.to {
		case PushConn:
			ids := who[user(first)]
			if len(ids) != 1 {
				return nil, fmt.Errorf("%s has %d connections, not 1", user(first), len(ids))
			}
			g.To = fmt.Sprintf(`"conn_id":%q`, ids[0])
		case PushUser:
			g.To = usersMember(first/p.per, 1)
		default:
			g.To = usersMember(first, p.per)
		}
		groups = append(groups, g)
	}
	return groups, nil
}

// user is the name that identity gives to connection n.
func user(n int) string { return fmt.Sprintf("user-%d", 1_000_000+n) }

// usersMember is the member of a call that names count users, from first on.
func usersMember(first, count int) string {
	var b strings.Builder
	b.WriteString(`"users":[`)
	for i := range count {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q", user(first+i))
	}
	b.WriteByte(']')
	return b.String()
}

// window calls and measures what it costs the gateway.
func (p push) window(ctx context.Context, s stage, c *load.Client, groups []load.Group, gateway *child.Process) (load.PushResult, cost, error) {
	watched := []*child.Process{gateway}
	s.show("warming up")
	x, err := c.Push(load.Calls{API: gateway.Addr(), Message: p.message, Groups: groups, Callers: p.callers, Rate: p.traffic.Rate})
	if err != nil {
		return load.PushResult{}, cost{}, err
	}
	err = pause(ctx, p.traffic.Warmup, watched)
	var before, after []cost
	if err == nil {
		s.show("measuring")
		x.Begin()
		before, err = costs(watched)
	}
	if err == nil {
		profiled := s.profile(ctx, gateway, p.traffic.Duration)
		err = errors.Join(pause(ctx, p.traffic.Duration, watched), profiled())
	}
	if err == nil {
		after, err = costs(watched)
	}
	r := x.End()
	if err = errors.Join(err, failures(r.Result)); err != nil {
		return r, cost{}, err
	}
	return r, after[0].since(before[0]), nil
}

// since is what was used after before.
func (c cost) since(before cost) cost {
	return cost{cpu: c.cpu - before.cpu, switches: c.switches - min(c.switches, before.switches)}
}

func (p push) figures(s stage, r load.PushResult, used cost) outcome {
	var o outcome
	o.add("calls", "1/s", float64(r.Calls)/r.Elapsed.Seconds())
	o.add("deliveries", "1/s", r.Rate())
	o.addWithGoal("gateway CPU, a million calls", "s", used.perMillion(r.Calls), p.goal())
	o.add("gateway CPU, a million deliveries", "s", used.perMillion(r.Messages))
	o.add("gateway busy, of one processor", "%", 100*used.cpu.Seconds()/r.Elapsed.Seconds())
	o.add("gateway sleeps, a thousand calls", "", float64(used.switches)/float64(r.Calls)*1e3)
	o.add("answer p50", "ms", milliseconds(r.Answer, 50))
	o.add("answer p99", "ms", milliseconds(r.Answer, 99))
	if p.per > 1 {
		o.add("to the last p50", "ms", milliseconds(r.Last, 50))
		o.add("to the last p99", "ms", milliseconds(r.Last, 99))
	}
	o.addTraffic(r.Result, s.Busy)
	return o
}

func milliseconds(h *hdrhistogram.Histogram, p float64) float64 {
	return float64(h.ValueAtPercentile(p)) / float64(time.Millisecond)
}

// roster is the connections' ids by user.
type roster map[string][]string

// connected asks the gateway who is connected.
func connected(ctx context.Context, gateway *child.Process) (roster, error) {
	body, err := fetch(ctx, fmt.Sprintf("http://%v/tapr/ws/conn/list", gateway.Addr()))
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
