package hubsim

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"ws-gateway/bench/proc"
	"ws-gateway/bench/report"
	"ws-gateway/hub/directory"
	"ws-gateway/netpoll"
)

// gcPercent is the gateway's default (cmd/ws-gateway/host/memory.go).
const gcPercent = 25

// Most is how many sessions a simulation may have: what the slots of a loop are
// numbered with.
const Most = netpoll.MaxSlots

// bytesEach bounds what a session takes at the collector's peak; it is for the
// decision whether a simulation fits, not a promise.
const bytesEach = 500

var agents = []string{
	"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
	"okhttp/4.12.0",
}

// simulation is one under way.
type simulation struct {
	loop     *loop
	sessions int
	phases   []uint8 // in which second of its ping interval a session pings
	conns    netpoll.Slab[netpoll.Conn]
	now      uint32
	figures  []report.Figure
}

// Run simulates so many sessions, each with a user of its own, and measures. Times
// are of one loop that has all the sessions; with several they share the work. It
// changes the process's GC percentage.
func Run(ctx context.Context, sessions int) ([]report.Figure, error) {
	if err := fits(sessions); err != nil {
		return nil, err
	}
	debug.SetGCPercent(gcPercent)
	sim := &simulation{loop: newLoop(), sessions: sessions, phases: phases(sessions)}
	for _, step := range []func(context.Context) error{sim.fill, sim.tick, sim.collect, sim.resolve, sim.list, sim.move} {
		if err := step(ctx); err != nil {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	return sim.figures, nil
}

func (sim *simulation) add(name, unit string, value float64) {
	sim.figures = append(sim.figures, report.Figure{Name: name, Unit: unit, Value: value})
}

// fits refuses what would not fit into the machine.
func fits(sessions int) error {
	if sessions < 1_000 || sessions > Most {
		return fmt.Errorf("a simulation has 1,000 to %s sessions, not %d", report.Count(Most), sessions)
	}
	available, err := proc.AvailableMemory()
	if err != nil {
		return err
	}
	return room(sessions, available)
}

func room(sessions int, available uint64) error {
	if need := uint64(sessions) * bytesEach; need > available {
		return fmt.Errorf("%s sessions need up to %s MiB, and %s MiB are available: simulate fewer",
			report.Count(float64(sessions)), report.Count(float64(need>>20)), report.Count(float64(available>>20)))
	}
	return nil
}

func user(n int) string { return fmt.Sprintf("user-%08d", n) }

func (sim *simulation) enter(n int) {
	remote := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), uint16(n|1))
	sim.loop.enter(uint32(n), user(n), agents[n%len(agents)], remote)
}

// fill opens the sessions, spread over the seconds of a ping timeout.
func (sim *simulation) fill(context.Context) error {
	heap, resident, err := memory()
	if err != nil {
		return err
	}
	began, until := time.Now(), 1
	for n := range sim.sessions {
		if n == until*sim.sessions/timeout {
			until++
			sim.ping(n)
			sim.second(nil)
		}
		sim.enter(n)
	}
	entered := time.Since(began)
	each := func(now, before uint64) float64 { return (float64(now) - float64(before)) / float64(sim.sessions) }
	alone, _, err := memory()
	if err != nil {
		return err
	}
	// The session, its user's name and entry, its place in the wheel.
	sim.add("heap, each: hub", "B", each(alone, heap))
	for slot := range uint32(sim.sessions) {
		sim.conns.Grow(slot)
		*sim.conns.At(slot) = netpoll.Conn{} // so that the pages are there
	}
	whole, now, err := memory()
	if err != nil {
		return err
	}
	sim.add("heap, each: hub and netpoll's Conn", "B", each(whole, heap))
	sim.add("resident, each", "B", each(now, resident)) // nothing is garbage yet, so it has no headroom of the collector
	sim.add("enter, the collector's work included", "ns", float64(entered.Nanoseconds())/float64(sim.sessions))
	return nil
}

// memory is what lives on the heap, and what is resident. The collector keeps
// its headroom, since it would in the gateway.
func memory() (heap, resident uint64, err error) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	of, err := proc.MemoryOf(os.Getpid())
	return m.HeapAlloc, of.Resident, err
}

const collections = 5

// collect measures full collections.
func (sim *simulation) collect(context.Context) error {
	sim.add("full collection, CPU", "ms", fullCollection())
	return nil
}

// fullCollection is the median of what full collections cost, in milliseconds of
// processor time.
func fullCollection() float64 {
	var times []float64
	for range collections {
		before := collectorTime()
		runtime.GC()
		times = append(times, 1e3*(collectorTime()-before))
	}
	return report.Median(times)
}

// collectorTime is the processor time, in seconds, that collections have used so
// far, what they did on processors that were idle included.
func collectorTime() float64 {
	sample := []metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}}
	metrics.Read(sample)
	return sample[0].Value.Float64()
}

const (
	many  = 10_000 // users named in one send
	sends = 20_000 // to one user
)

// resolve measures finding the targets of sends.
func (sim *simulation) resolve(context.Context) error {
	names := make([]string, min(many, sim.sessions/2))
	stride := sim.sessions / len(names)
	for i := range names {
		names[i] = user(i * stride)
	}
	var times []float64
	for range 5 {
		began := time.Now()
		if n := len(sim.loop.targets(names)); n != len(names) {
			return fmt.Errorf("%d connections of %d users were found", n, len(names))
		}
		times = append(times, 1e3*time.Since(began).Seconds())
	}
	sim.add(fmt.Sprintf("targets of a send to %s users", report.Count(float64(len(names)))), "ms", report.Median(times))
	began := time.Now()
	for i := range sends {
		if n := len(sim.loop.targets(names[i%len(names):][:1])); n != 1 {
			return fmt.Errorf("%d connections of one user were found", n)
		}
	}
	sim.add("targets of a send to one user", "µs", 1e6*time.Since(began).Seconds()/sends)
	return nil
}

const looks = 8 // at the heap while a list runs

// list streams all of it, and then once more to look at what it holds meanwhile.
func (sim *simulation) list(context.Context) error {
	began, listed := time.Now(), 0
	if _, err := sim.loop.directory.List(directory.Query{}, func(_ string, conns []directory.Info) error {
		listed += len(conns)
		return nil
	}); err != nil {
		return err
	}
	if listed != sim.sessions {
		return fmt.Errorf("%d of %d sessions were listed", listed, sim.sessions)
	}
	sim.add("list of all", "s", time.Since(began).Seconds())
	base, _, err := memory()
	if err != nil {
		return err
	}
	var m runtime.MemStats
	highest, every := base, max(1, sim.sessions/looks)
	listed = 0
	if _, err := sim.loop.directory.List(directory.Query{}, func(_ string, conns []directory.Info) error {
		if (listed+len(conns))/every != listed/every {
			runtime.GC() // what is still held, not what waits to be collected
			runtime.ReadMemStats(&m)
			highest = max(highest, m.HeapAlloc)
		}
		listed += len(conns)
		return nil
	}); err != nil {
		return err
	}
	sim.add("heap held by that list", "KiB", float64(highest-base)/1024)
	return nil
}

const moves = 100_000

// move has sessions leave and others come in their places.
func (sim *simulation) move(context.Context) error {
	n := min(moves, sim.sessions)
	stride := sim.sessions / n
	began := time.Now()
	for i := range n {
		slot := i * stride
		sim.loop.leave(netpoll.MakeID(0, uint32(slot), uint32(slot+1))) // the generations of a loop begin with 1
		sim.enter(slot)
	}
	sim.add("leave and enter", "ns", float64(time.Since(began).Nanoseconds())/float64(n))
	if users := sim.loop.directory.Users(); users != sim.sessions {
		return fmt.Errorf("there are %d users, not %d", users, sim.sessions)
	}
	runtime.KeepAlive(sim)
	return nil
}
