package scenario

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"

	"ws-gateway/bench/child"
	"ws-gateway/bench/load"
	"ws-gateway/cluster/interest"
	"ws-gateway/cluster/members"
	"ws-gateway/cluster/packet"
)

// Cluster measures gateways that are one, each figure against what it is compared with in
// the same round: sends to a connection at another gateway and to one here, calls to many
// users at three gateways and at one, a gateway without others and one without --cluster;
// what is lost while NATS is away; and what an instance of a large cluster has to know.
type Cluster struct {
	Only      []string `placeholder:"WHAT" enum:"sends,many,lone,away,simulation" help:"sends, many, lone, away, simulation; several are several cases. Default: all."`
	Conns     int      `default:"300" placeholder:"N" help:"Connections, of a user each, that single calls are to."`
	Many      int      `default:"10000" placeholder:"N" help:"Users that a call to many names."`
	Calls     int      `default:"10" placeholder:"N" help:"Calls to many users."`
	Callers   int      `default:"4" placeholder:"N" help:"Connections to the management API, each with one call under way."`
	Size      int      `default:"64" placeholder:"BYTES" help:"Payload of a message."`
	Rate      float64  `default:"2000" placeholder:"N" help:"Calls a second. 0: closed loop."`
	Instances int      `default:"100" placeholder:"N" help:"Instances of the simulation, 256 at most."`
	Users     int      `default:"1000000" placeholder:"N" help:"Users of each."`
	Window
}

// Cases are one for sends and one for the simulation.
func (c Cluster) Cases(o Options) (cases []Case, err error) {
	t := Traffic{Size: c.Size, Rate: c.Rate, Window: c.Window}
	m, err := load.Event(c.Size)
	if err := firstOf(t.possible(), possible("--conns", c.Conns), err); err != nil {
		return nil, err
	}
	if c.Callers < 1 || c.Instances < 2 || c.Instances > 256 || c.Users < 1 || c.Calls < 1 || c.Many < 1 || c.Many > MostConnections {
		return nil, fmt.Errorf("--callers, --calls, --many and --users must be at least 1, --many %d at most, --instances 2 to 256", MostConnections)
	}
	if o.Threads != 1 {
		return nil, errOneThread
	}
	for _, one := range []struct {
		what, name string
		round      func(*stage)
	}{
		{"sends", fmt.Sprintf("%s calls a second to one connection each, here and at another of three gateways", count(int(c.Rate))), func(s *stage) { c.sends(s, m) }},
		{"many", fmt.Sprintf("each call to %s users, at one gateway and at three", count(c.Many)), func(s *stage) { c.many(s, m) }},
		{"lone", "a gateway without --cluster, and with it and no other", func(s *stage) { c.lone(s, m) }},
		{"away", "NATS away for a second, 1,000 calls a second", c.away},
		{"simulation", fmt.Sprintf("%s instances with %s users each, simulated", count(c.Instances), count(c.Users)), c.simulate},
	} {
		if len(c.Only) == 0 || slices.Contains(c.Only, one.what) {
			cases = append(cases, Case{Scenario: "cluster", Name: one.name, Gateway: one.what != "simulation", round: one.round})
		}
	}
	return cases, nil
}

// sends has each call go to the gateway that has the connection, and then to another. The
// third has none of the connections.
func (c Cluster) sends(s *stage, m *load.Message) {
	server, all := s.gateways()
	sender, receiver, other := all[0], all[1], all[2]
	run := func(through *child.Process) (used []cost, r load.PushResult) {
		s.part(func() {
			client := s.users(receiver, c.Conns)
			var groups []load.Group
			for i := range c.Conns {
				groups = append(groups, load.Group{First: i, Count: 1, To: usersMember(i, 1)})
			}
			s.pause(c.Warmup, all[:]...) // the others are told of the users
			x := must(client.Push(load.Calls{API: through.Addr(), Message: m, Groups: groups, Callers: c.Callers, Rate: c.Rate}))
			r, used = window(s, x, c.Window, sender, receiver, other, server)
		})
		return used, r
	}
	local, here := run(receiver)
	remote, there := run(sender)
	s.show("NATS alone")
	rate := c.Rate
	if rate == 0 {
		rate = float64(there.Calls) / there.Elapsed.Seconds()
	}
	bare := s.bareNATS(server, c.Size, rate, c.Window)
	if here.Calls == 0 || there.Calls == 0 {
		check(errors.New("no call was answered"))
	}
	localCost := local[1].perMillion(here.Calls)
	sum := remote[0].perMillion(there.Calls) + remote[1].perMillion(there.Calls)
	s.add("gateway CPU, a million local calls", "s", localCost)
	s.add("sender CPU, a million remote calls", "s", remote[0].perMillion(there.Calls))
	s.add("receiver CPU, a million remote calls", "s", remote[1].perMillion(there.Calls))
	s.add("CPU of both, against a local call", "×", sum/localCost)
	s.add("instance without a target, against the receiver", "×", remote[2].perMillion(there.Calls)/remote[1].perMillion(there.Calls))
	s.add("NATS server CPU, a million remote calls", "s", remote[3].perMillion(there.Calls))
	for _, p := range []float64{50, 99} {
		s.add(fmt.Sprintf("delivery, local, p%g", p), "ms", here.Percentile(p))
		s.add(fmt.Sprintf("delivery, remote, p%g", p), "ms", there.Percentile(p))
		s.add(fmt.Sprintf("NATS alone, published and received, p%g", p), "ms", float64(bare.ValueAtPercentile(p))/1e6)
	}
	s.add("delivery, remote, p99, against NATS alone", "×", there.Percentile(99)*1e6/float64(bare.ValueAtPercentile(99)))
	s.note("heartbeats, which cost the same however many calls there are, are in the CPU of all")
}

// simulate is an instance among so many others that only their names and heartbeats are
// made.
func (c Cluster) simulate(s *stage) {
	c.simulateNames(s)
	c.simulateHeartbeats(s)
	s.note("times are by the clock: on a machine that others keep busy they are longer than the CPU that was used")
	s.note("a simulation of the table and of heartbeats; the gateway keeps 8 Mi names of others: of what is more the instance with most is told everything")
}

// simulateNames fills the table of an instance with the names of all others, and looks for
// some.
func (c Cluster) simulateNames(s *stage) {
	s.show("filling the table")
	table := interest.NewTable(rand.Uint64(), 1<<30)
	before := heap()
	var applied, told time.Duration
	var bytes int
	pieces := func(local *interest.Local, i uint8) {
		for next, m := 0, local.Begin(); ; {
			data := m.Append(nil)
			bytes += len(data)
			began := time.Now()
			parsed := must(interest.Parse(data))
			check(table.Apply(i, &parsed))
			applied += time.Since(began)
			if m.Kind == interest.End {
				return
			}
			if next < 0 {
				m = local.End()
				continue
			}
			began = time.Now()
			m, next = local.Piece(next, namesAtOnce)
			told += time.Since(began)
		}
	}
	others := c.Instances - 1
	var last *interest.Local
	for i := range others {
		last = interest.NewLocal(rand.Uint64())
		for n := range c.Users {
			last.Come(interest.Hash(uint64(i*c.Users+n+1) * 0x9e3779b97f4a7c15))
		}
		for more := true; more; {
			_, _, more = last.Flush(0, namesAtOnce)
		}
		pieces(last, uint8(i))
		s.show(fmt.Sprintf("%d of %d instances", i+1, others))
	}
	names := table.Entries()
	runtime.KeepAlive(last)
	last = nil
	memory := heap() - before
	s.add("names of others", "", float64(names))
	s.add("memory of the table", "MB", float64(memory)/1e6)
	s.add("memory, a name", "B", float64(memory)/float64(names))
	s.add("telling everything of an instance: bytes", "MB", float64(bytes)/float64(others)/1e6)
	s.add("telling everything of an instance: time of the one that tells", "s", told.Seconds()/float64(others))
	s.add("telling everything of an instance: time of each that hears", "s", applied.Seconds()/float64(others))
	s.add("a restart of all: what each hears", "MB", float64(bytes)/1e6)
	s.add("a restart of all: time of each", "s", applied.Seconds())

	const lookups = 1_000_000
	began := time.Now()
	for n := range uint64(lookups) {
		var found interest.Set
		table.Find(interest.Hash((n*37%uint64(names)+1)*0x9e3779b97f4a7c15), &found)
	}
	s.add("looking for a user", "ns", float64(time.Since(began))/lookups)
}

// simulateHeartbeats writes and reads those of all other instances.
func (c Cluster) simulateHeartbeats(s *stage) {
	others := c.Instances - 1
	h := members.Heartbeat{Name: "gateway-100", Program: "v1.2.3", Wire: packet.Version, State: members.Serving, Up: time.Hour, Connections: 1e6, Users: 1e6, Loops: 8}
	known := members.New(members.Config{Self: members.ID{1}, Name: "self"})
	known.LinkUp(0)
	const beats = 100_000
	began := time.Now()
	length := 0
	for n := range beats {
		p := packet.Packet{Kind: packet.Heartbeat, Sender: packet.Instance{2, byte(n % others)}, Stamp: time.Second, Body: h.AppendFields(nil)}
		p.FieldsLength = uint32(len(p.Body))
		data := p.Append(nil)
		length = len(data)
		read := must(packet.Parse(data))
		fields, _, err := packet.Split(read.Body, read.FieldsLength)
		check(err)
		beat := must(members.ReadHeartbeat(read.Sender, fields))
		known.Heard(time.Duration(n)*10*time.Millisecond, &beat)
	}
	each := time.Since(began) / beats
	s.add("heartbeats of all others: time", "% of one processor", 100*each.Seconds()*float64(others))
	s.add("heartbeats of all others: bytes", "kB/s", float64(length*others)/1e3)
}

// namesAtOnce is how many names a message has, as in package cluster.
const namesAtOnce = 8192

// heap is what lives.
func heap() int64 {
	runtime.GC()
	runtime.GC() // what pools have is freed by the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// awaitPeers waits until a gateway knows so many others, and all of their names.
func (s *stage) awaitPeers(g *child.Process, n float64) {
	for end := time.Now().Add(restTimeout); ; s.pause(50*time.Millisecond, g) {
		if seen := scraped(g); seen["cluster_known_instances"] == n && seen["cluster_whole"] == 1 {
			return
		}
		if time.Now().After(end) {
			check(errors.New("the gateways do not find each other"))
		}
	}
}
