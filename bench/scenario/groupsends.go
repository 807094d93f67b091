package scenario

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"time"

	"ws-gateway/bench/child"
	"ws-gateway/bench/load"
)

// groupAndAll compares one call to a group with one call to all, in turn.
type groupAndAll struct {
	conns, calls int
	message      *load.Message
}

// turns is how often each of the things that are compared is done: what the machine
// does to one of them it does to the other, too.
const turns = 5

func (g groupAndAll) round(s *stage) {
	f := fanout{to: "all", calls: g.calls, message: g.message}
	gateway, w, who := f.watched(s)
	c := s.users(gateway, g.conns)
	joinAll(s, gateway.Addr(), "everybody", g.conns)
	all := load.Calls{API: gateway.Addr(), Message: g.message, Limit: f.repeats(g.conns), Groups: []load.Group{{To: f.member(g.conns, who), Count: g.conns}}}
	group := all
	group.Groups = []load.Group{{To: `"groups":["everybody"]`, Count: g.conns}}
	for _, calls := range []load.Calls{all, group} { // the first are not like the others
		f.push(s, c, gateway, calls)
	}
	var toAll, toGroup cost
	var deliveries uint64
	var last load.PushResult
	for range turns {
		var r load.PushResult
		toAll.add(costing([]*child.Process{gateway}, func() { r = f.push(s, c, gateway, all) })[0])
		toGroup.add(costing([]*child.Process{gateway}, func() { last = f.push(s, c, gateway, group) })[0])
		deliveries += r.Messages
	}
	during := w.during(func() { f.push(s, c, gateway, all) }) // to compare
	delay := w.during(func() { f.push(s, c, gateway, group) })
	s.add("to all: gateway CPU, a million deliveries", "s", toAll.perMillion(deliveries))
	s.add("to a group: gateway CPU, a million deliveries", "s", toGroup.perMillion(deliveries))
	s.add("to a group: gateway CPU, of one to all", "", toGroup.perMillion(deliveries)/toAll.perMillion(deliveries))
	s.add("to a group: to the last, median", "ms", milliseconds(last.Last)(50))
	pong, idle := delay.pong.Percentile(100), delay.idle.Percentile(100)
	s.add("to all: pong meanwhile p50", "ms", during.pong.Percentile(50))
	s.add("to all: pong meanwhile, max", "ms", during.pong.Percentile(100))
	s.add("to a group: pong meanwhile p50", "ms", delay.pong.Percentile(50))
	s.add("to a group: pong meanwhile, max", "ms", pong)
	s.add("to a group: idle server's echo, max", "ms", idle)
	s.add("to a group: pong later than that", "ms", max(0, pong-idle))
	s.addLimit(last.Result)
}

// joinAll makes all connections members of a group with one call.
func joinAll(s *stage, gateway netip.AddrPort, name string, conns int) {
	s.show("joining")
	check(order(gateway, joinPath, fmt.Appendf(nil, `{"groups":[%q],%s}`, name, usersMember(0, conns))))
}

const joinPath = "/tapr/ws/group/join"

// manyGroups has calls to many small groups, and three to compare them with: to one
// connection, to the same connections named by their users, and to all, for what a
// delivery costs.
type manyGroups struct {
	groups, per, conns, callers int
	load                        Traffic
	message                     *load.Message
}

// layers is in how many groups each connection is.
func (m manyGroups) layers() int { return m.groups * m.per / m.conns }

func (m manyGroups) name(layer, first int) string {
	return fmt.Sprintf("room-%d-%d", layer, first/m.per)
}

func (m manyGroups) round(s *stage) {
	gateway := s.gateway("", patient...)
	c := s.users(gateway, m.conns)
	s.show("joining")
	began := time.Now()
	used := costing([]*child.Process{gateway}, func() { m.join(gateway.Addr()) })[0]
	calls := uint64(m.groups)
	s.add("joins, "+count(m.per)+" of each call", "1/s", float64(m.groups*m.per)/time.Since(began).Seconds())
	s.add("gateway CPU, a million calls that join", "s", used.perMillion(calls))
	single := must(push{to: "conn", conns: m.conns, per: 1}.groups(must(connected(gateway.Addr()))))
	users := must(push{to: "users", conns: m.conns, per: m.per}.groups(nil))
	everybody := load.Calls{API: gateway.Addr(), Message: m.message, Limit: 2, Groups: []load.Group{{To: `"all":true`, Count: m.conns}}}
	var toOne, toUsers, toGroup, toAll called
	for layer := range m.layers() {
		m.push(s, c, gateway, single, &toOne)
		m.push(s, c, gateway, users, &toUsers)
		m.push(s, c, gateway, m.layer(layer), &toGroup)
		toAll.add(gateway, func() load.PushResult { return fanout{}.push(s, c, gateway, everybody) })
	}
	one, group, delivery := toOne.each(), toGroup.each(), toAll.used.perMillion(toAll.deliveries)
	per := float64(toGroup.deliveries) / float64(toGroup.calls)
	s.add("to one: gateway CPU, a million calls", "s", one)
	s.add("to "+count(m.per)+" users: gateway CPU, a million calls", "s", toUsers.each())
	s.add("to a group: gateway CPU, a million calls", "s", group)
	s.add("to all: gateway CPU, a million deliveries", "s", delivery)
	s.add("to a group: gateway CPU of a call, of one to a connection", "", group/one)
	s.add("the same without deliveries", "", (group-per*delivery)/(one-delivery))
}

// called is what calls of a kind came to.
type called struct {
	used              cost
	calls, deliveries uint64
}

// add adds what f has called.
func (c *called) add(gateway *child.Process, f func() load.PushResult) {
	var r load.PushResult
	c.used.add(costing([]*child.Process{gateway}, func() { r = f() })[0])
	c.calls, c.deliveries = c.calls+r.Calls, c.deliveries+r.Messages
}

// each is what a million calls cost.
func (c *called) each() float64 { return c.used.perMillion(c.calls) }

// layer is those of the groups of which each connection is in one.
func (m manyGroups) layer(layer int) (groups []load.Group) {
	for first := 0; first+m.per <= m.conns; first += m.per {
		groups = append(groups, load.Group{To: fmt.Sprintf(`"groups":[%q]`, m.name(layer, first)), First: first, Count: m.per})
	}
	return groups
}

// join makes the groups, with a call for each.
func (m manyGroups) join(gateway netip.AddrPort) {
	client := &http.Client{Timeout: apiTimeout}
	defer client.CloseIdleConnections()
	url := "http://" + gateway.String() + joinPath
	for layer := range m.layers() {
		for first := 0; first+m.per <= m.conns; first += m.per {
			body := fmt.Appendf(nil, `{"groups":[%q],%s}`, m.name(layer, first), usersMember(first, m.per))
			answer := must(client.Post(url, "application/json", bytes.NewReader(body)))
			text := must(io.ReadAll(answer.Body))
			answer.Body.Close()
			if want := fmt.Appendf(nil, `"matched":%d}`, m.per); !bytes.Contains(text, want) {
				check(fmt.Errorf("joining was answered %.200q", text))
			}
		}
	}
}

// push calls in the closed loop for a part of the window, and adds that to sum.
func (m manyGroups) push(s *stage, c *load.Client, gateway *child.Process, groups []load.Group, sum *called) {
	x := must(c.Push(load.Calls{API: gateway.Addr(), Message: m.message, Groups: groups, Callers: m.callers}))
	w := m.load.Window
	w.Duration /= time.Duration(m.layers())
	w.Warmup /= time.Duration(m.layers())
	r, used := window(s, x, w, gateway)
	if r.Calls == 0 {
		check(fmt.Errorf("no call was answered in %v", r.Elapsed))
	}
	sum.used.add(used[0])
	sum.calls, sum.deliveries = sum.calls+r.Calls, sum.deliveries+r.Messages
}

// add adds what was used in another part.
func (c *cost) add(other cost) {
	c.cpu += other.cpu
	c.switches += other.switches
}
