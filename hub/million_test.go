package hub

import (
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"

	"ws-gateway/netpoll"
)

// BenchmarkSimulatedHub fills a hub of two loops with sessions that have no
// sockets, and reports what they cost: heap bytes for each, processor time of a
// full collection, time and heap growth of a list of all of them, and the time
// that one connection takes to leave and another to come.
//
//	go test -run '^$' -bench SimulatedHub -benchtime 1x ./hub/
func BenchmarkSimulatedHub(b *testing.B) {
	users := map[string]func(n uint32) string{
		"own":       func(n uint32) string { return fmt.Sprintf("user-%08d", n) },
		"shared":    func(n uint32) string { return fmt.Sprintf("user-%08d", n/10) },
		"anonymous": func(uint32) string { return "" },
	}
	for _, sessions := range []uint32{15_000, 1_000_000} {
		for _, name := range []string{"own", "shared", "anonymous"} {
			b.Run(fmt.Sprintf("%d/%s", sessions, name), func(b *testing.B) {
				for range b.N {
					measureHub(b, sessions, users[name])
				}
			})
		}
	}
}

const simulatedLoops = 2

func measureHub(b *testing.B, sessions uint32, user func(uint32) string) {
	before := heap()
	sim := simulate(b, simulatedLoops, Config{})
	ids := make([]netpoll.ID, 0, sessions)
	for n := range sessions {
		ids = append(ids, sim.mustEnter(b, int(n%simulatedLoops), n/simulatedLoops, user(n)))
	}
	held := heap() - before - 8*uint64(sessions)
	b.ReportMetric(float64(held)/float64(sessions), "B/session")

	const collections = 5
	cpu := processorTime()
	for range collections {
		runtime.GC()
	}
	b.ReportMetric(float64((processorTime()-cpu).Microseconds())/collections/1000, "GC-cpu-ms")

	begin, base, peak, listed := time.Now(), heap(), uint64(0), uint32(0)
	var m runtime.MemStats
	if _, err := sim.List(Query{}, func(_ string, conns []Info) error {
		if before := listed; (before+uint32(len(conns)))/50_000 != before/50_000 {
			runtime.GC() // what is still held, not what waits to be collected
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
		}
		listed += uint32(len(conns))
		return nil
	}); err != nil || listed != sessions {
		b.Fatalf("%d listed, %v", listed, err)
	}
	b.ReportMetric(float64(max(peak, base)-base)/1024, "list-KiB")
	b.ReportMetric(float64(time.Since(begin).Milliseconds()), "list-ms")

	begin = time.Now()
	const moves = 100_000
	for n := range uint32(moves) {
		at := (n * 7919) % sessions
		id := ids[at]
		sim.leave(id)
		ids[at] = sim.mustEnter(b, id.Loop(), id.Slot(), user(at))
	}
	b.ReportMetric(float64(time.Since(begin).Nanoseconds())/moves, "ns/leave+join")
	b.ReportMetric(0, "ns/op")
	runtime.KeepAlive(sim)
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
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
