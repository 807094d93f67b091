package hub

import (
	"fmt"
	"testing"

	"ws-gateway/netpoll"
)

const simulatedLoops = 2

// BenchmarkLeaveAndJoin is what one connection's leaving and another's coming
// costs among 100,000, users' names and the clock included.
//
//	go test -run '^$' -bench LeaveAndJoin ./hub/
func BenchmarkLeaveAndJoin(b *testing.B) {
	const sessions = 100_000
	for name, user := range map[string]func(n uint32) string{
		"own":       func(n uint32) string { return fmt.Sprintf("user-%08d", n) },
		"shared":    func(n uint32) string { return fmt.Sprintf("user-%08d", n/10) },
		"anonymous": func(uint32) string { return "" },
	} {
		b.Run(name, func(b *testing.B) {
			sim := simulate(b, simulatedLoops, Config{})
			ids := make([]netpoll.ID, sessions)
			for n := range uint32(sessions) {
				ids[n] = sim.mustEnter(b, int(n%simulatedLoops), n/simulatedLoops, user(n))
			}
			b.ReportAllocs()
			n := uint32(0)
			for b.Loop() {
				n = (n + 7919) % sessions
				id := ids[n]
				sim.leave(id)
				ids[n] = sim.mustEnter(b, id.Loop(), id.Slot(), user(n))
			}
		})
	}
}

// BenchmarkResolve finds the connections of 10,000 users, and of one
// connection's id, among a million.
//
//	go test -run '^$' -bench Resolve ./hub/
func BenchmarkResolve(b *testing.B) {
	const sessions = 1_000_000
	sim := simulate(b, simulatedLoops, Config{})
	var id netpoll.ID
	for n := range uint32(sessions) {
		id = sim.mustEnter(b, int(n%simulatedLoops), n/simulatedLoops, fmt.Sprint("user-", n))
	}
	names := make([]string, 10_000)
	for i := range names {
		names[i] = fmt.Sprint("user-", i*97)
	}
	b.Run("10000 users", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if a := sim.resolve(Targets{Users: names}); len(a.ids[0])+len(a.ids[1]) != len(names) {
				b.Fatal("not everybody was found")
			}
		}
	})
	b.Run("one connection", func(b *testing.B) {
		t := Targets{Conn: sim.public(id)}
		b.ReportAllocs()
		for b.Loop() {
			sim.resolve(t)
		}
	})
}
