package host

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"runtime"
	"strconv"
	"strings"

	"ws-gateway/cmd/ws-gateway/internal/finding"
)

// Processors is what the machine has for the process.
type Processors struct {
	Online  int     // that it may run on: those of its affinity mask
	Quota   float64 // processors' worth of time that its cgroup allows; 0: no limit
	Runtime int     // GOMAXPROCS as the Go runtime has it: from the two above, or from the environment
	Told    bool    // the environment says GOMAXPROCS
}

// readProcessors reads them, below the root of the file system.
func readProcessors(root fs.FS) Processors {
	return Processors{Online: runtime.NumCPU(), Quota: quota(root), Runtime: runtime.GOMAXPROCS(0), Told: os.Getenv("GOMAXPROCS") != ""}
}

// Threads is how the processors are used.
type Threads struct {
	Procs int // GOMAXPROCS: threads that run Go code at a time
	Loops int // event loops
}

// fewProcessors is how many processors are few: the app, the proxy and the kernel need
// them too.
const fewProcessors = 2

// mostLoops is how many loops there can be (netpoll.MaxLoops).
const mostLoops = 256

// Few says whether one thread at a time is to run Go code, unless somebody has said
// otherwise. Where others use the same processors the kernel takes a processor from a
// thread at any time, and what that thread had in hand waits although the other thread
// may have nothing to do; and two that hand work to each other wake each other all the
// time. Under a quota of one processor two would use it up in half of each period, and
// stand still for the rest.
func (p Processors) Few() bool {
	return !p.Told && (p.Online <= fewProcessors || p.Quota > 0 && p.Quota <= 1)
}

// Use decides how the processors are used; loops is --loops, 0 if it is not set. Where
// there are few, more than one loop asks for all of them.
func (p Processors) Use(loops int) Threads {
	procs := p.Runtime
	if p.Few() && loops <= 1 {
		procs = 1
	}
	if loops == 0 {
		loops = min(procs, mostLoops)
	}
	return Threads{Procs: procs, Loops: loops}
}

// Apply tells the Go runtime, unless that is its own choice: then it goes on following
// the cgroup's quota.
func (t Threads) Apply() {
	if t.Procs != runtime.GOMAXPROCS(0) {
		runtime.GOMAXPROCS(t.Procs)
	}
}

// judge says what was decided.
func (p Processors) judge(loops int) finding.Finding {
	use := p.Use(loops)
	has := fmt.Sprintf("%d", p.Online)
	if p.Quota > 0 {
		has += fmt.Sprintf(", of which the cgroup allows %.3g", p.Quota)
	}
	text := fmt.Sprintf("%s; Go code runs on %d at a time; event loops: %d", has, use.Procs, use.Loops)
	if use.Procs < p.Runtime {
		text += "; --loops=2 uses two"
	}
	return finding.New("processors", finding.OK, text, "")
}

// quota is how many processors' time the cgroup and its parents allow, version 1 or 2;
// 0: they set no limit, or it cannot be read. The Go runtime reads the same files, and
// says 2 for all that is less.
func quota(root fs.FS) (least float64) {
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3) // hierarchy:controllers:path
		if len(fields) < 3 {
			continue
		}
		mount, limit := "sys/fs/cgroup", limitOfV2
		if fields[1] != "" {
			mount, limit = "sys/fs/cgroup/cpu", limitOfV1
			if !strings.Contains(","+fields[1]+",", ",cpu,") {
				continue
			}
		}
		// In a container the path may be the host's; the mount is the container's own.
		for dir := path.Clean("/" + fields[2]); ; dir = path.Dir(dir) {
			if q := limit(root, path.Join(mount, dir)); q > 0 && (least == 0 || q < least) {
				least = q
			}
			if dir == "/" {
				break
			}
		}
	}
	return least
}

// limitOfV2 reads "50000 100000", or "max 100000".
func limitOfV2(root fs.FS, dir string) float64 {
	text, _ := fs.ReadFile(root, path.Join(dir, "cpu.max"))
	fields := strings.Fields(string(text))
	if len(fields) != 2 {
		return 0
	}
	return share(fields[0], fields[1])
}

// limitOfV1 reads two files; a quota of -1 is none.
func limitOfV1(root fs.FS, dir string) float64 {
	quota, _ := fs.ReadFile(root, path.Join(dir, "cpu.cfs_quota_us"))
	period, _ := fs.ReadFile(root, path.Join(dir, "cpu.cfs_period_us"))
	return share(strings.TrimSpace(string(quota)), strings.TrimSpace(string(period)))
}

// share is quota by period, 0 if that is none.
func share(quota, period string) float64 {
	q, err := strconv.ParseFloat(quota, 64)
	p, err2 := strconv.ParseFloat(period, 64)
	if err != nil || err2 != nil || q <= 0 || p <= 0 {
		return 0
	}
	return q / p
}
