package proc

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// Machine is what a run was measured on.
type Machine struct {
	Kernel  string            `json:"kernel"`
	CPU     string            `json:"cpu"`
	CPUs    int               `json:"cpus"`
	Memory  uint64            `json:"memory_bytes"`
	Go      string            `json:"go"`
	Arch    string            `json:"arch"`
	Sysctls map[string]string `json:"sysctls"`
}

// sysctls that decide about many connections on one machine.
var sysctls = []string{
	"net/core/somaxconn", "net/ipv4/ip_local_port_range", "net/ipv4/tcp_mem", "net/ipv4/tcp_rmem",
	"net/ipv4/tcp_wmem", "net/ipv4/tcp_max_syn_backlog", "fs/nr_open",
}

// ThisMachine describes the machine. What cannot be read is left empty.
func ThisMachine() Machine {
	m := Machine{
		CPUs:    runtime.NumCPU(),
		Go:      runtime.Version(),
		Arch:    runtime.GOARCH,
		Sysctls: make(map[string]string, len(sysctls)),
	}
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		m.Kernel = unix.ByteSliceToString(uts.Release[:])
	}
	if info, err := fs.CPUInfo(); err == nil && len(info) > 0 {
		m.CPU = info[0].ModelName
	}
	if info, err := fs.Meminfo(); err == nil && info.MemTotalBytes != nil {
		m.Memory = *info.MemTotalBytes
	}
	for _, name := range sysctls {
		if text, err := os.ReadFile("/proc/sys/" + name); err == nil {
			m.Sysctls[strings.ReplaceAll(name, "/", ".")] = strings.Join(strings.Fields(string(text)), " ")
		}
	}
	return m
}

// Usage is what the processors of the machine have done since it started.
type Usage struct {
	Busy  time.Duration // for any process, or for the kernel
	Idle  time.Duration
	Steal time.Duration // taken by the host for other machines
}

// Total is all the time of all the processors.
func (u Usage) Total() time.Duration { return u.Busy + u.Idle + u.Steal }

// Sub is what the processors did between v and u.
func (u Usage) Sub(v Usage) Usage {
	return Usage{Busy: u.Busy - v.Busy, Idle: u.Idle - v.Idle, Steal: u.Steal - v.Steal}
}

// MachineUsage reads the usage of all the processors together, to a hundredth of
// a second.
func MachineUsage() (Usage, error) {
	stat, err := fs.Stat()
	if err != nil {
		return Usage{}, fmt.Errorf("reading usage of the machine: %w", err)
	}
	return usage(stat.CPUTotal), nil
}

func usage(s procfs.CPUStat) Usage {
	seconds := func(n float64) time.Duration { return time.Duration(n * float64(time.Second)).Round(time.Millisecond) }
	return Usage{
		Busy:  seconds(s.User + s.Nice + s.System + s.IRQ + s.SoftIRQ),
		Idle:  seconds(s.Idle + s.Iowait),
		Steal: seconds(s.Steal),
	}
}

// LoadAverage is the number of threads that ran or wanted to, over the last
// minute. It is 0 if it cannot be read.
func LoadAverage() float64 {
	average, err := fs.LoadAvg()
	if err != nil {
		return 0
	}
	return average.Load1
}
