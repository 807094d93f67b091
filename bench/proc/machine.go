package proc

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

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
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		m.CPU = cpuModel(string(text))
	}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		m.Memory = colonFields(string(text))["MemTotal"]
	}
	for _, name := range sysctls {
		if text, err := os.ReadFile("/proc/sys/" + name); err == nil {
			m.Sysctls[strings.ReplaceAll(name, "/", ".")] = strings.Join(strings.Fields(string(text)), " ")
		}
	}
	return m
}

func cpuModel(cpuinfo string) string {
	for line := range strings.Lines(cpuinfo) {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
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
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return Usage{}, fmt.Errorf("reading usage of the machine: %w", err)
	}
	return parseStat(string(text))
}

var errStat = errors.New("/proc/stat does not begin with the processors' total")

func parseStat(text string) (Usage, error) {
	line, _, _ := strings.Cut(text, "\n")
	words := strings.Fields(line)
	if len(words) < 9 || words[0] != "cpu" {
		return Usage{}, errStat
	}
	var ticks [8]time.Duration // user nice system idle iowait irq softirq steal
	for i := range ticks {
		n, err := strconv.ParseUint(words[i+1], 10, 63)
		if err != nil {
			return Usage{}, fmt.Errorf("%w: %w", errStat, err)
		}
		ticks[i] = time.Duration(n) * tick
	}
	return Usage{
		Busy:  ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6],
		Idle:  ticks[3] + ticks[4],
		Steal: ticks[7],
	}, nil
}

// tick is the unit of /proc/stat: USER_HZ is 100 on every architecture that Go
// knows.
const tick = 10 * time.Millisecond

// LoadAverage is the number of threads that ran or wanted to, over the last
// minute. It is 0 where it cannot be read.
func LoadAverage() float64 {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), " ")
	load, _ := strconv.ParseFloat(first, 64)
	return load
}
