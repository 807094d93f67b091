package proc

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Memory of a process, in bytes.
type Memory struct {
	Resident     uint64 // pages mapped and present, counted by walking the page tables
	Proportional uint64 // PSS: the same, shared pages divided among those who share them
	Anonymous    uint64 // of Resident, what no file backs
	VmRSS        uint64 // the kernel's running count of Resident; may lag by some dozen pages a processor
	Peak         uint64 // the highest VmRSS so far
}

// MemoryOf reads the memory of process pid.
func MemoryOf(pid int) (Memory, error) {
	rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return Memory{}, fmt.Errorf("reading memory: %w", err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Memory{}, fmt.Errorf("reading memory: %w", err)
	}
	exact, counted := colonFields(string(rollup)), colonFields(string(status))
	m := Memory{
		Resident:     exact["Rss"],
		Proportional: exact["Pss"],
		Anonymous:    exact["Anonymous"],
		VmRSS:        counted["VmRSS"],
		Peak:         counted["VmHWM"],
	}
	if m.Resident == 0 || m.VmRSS == 0 {
		return Memory{}, fmt.Errorf("process %d has no memory: it has ended", pid)
	}
	return m, nil
}

// Kernel is memory that the kernel holds for the whole machine, in bytes: the
// sockets of both ends of a loopback connection are in it.
type Kernel struct {
	Slab        uint64 // kernel objects: sockets, files, epoll items, …
	SocketPages uint64 // buffers of TCP sockets
}

// KernelMemory reads the kernel's memory.
func KernelMemory() (Kernel, error) {
	meminfo, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return Kernel{}, fmt.Errorf("reading kernel memory: %w", err)
	}
	sockstat, err := os.ReadFile("/proc/net/sockstat")
	if err != nil {
		return Kernel{}, fmt.Errorf("reading socket memory: %w", err)
	}
	return Kernel{
		Slab:        colonFields(string(meminfo))["Slab"],
		SocketPages: tcpPages(string(sockstat)) * uint64(os.Getpagesize()),
	}, nil
}

// tcpPages finds the "mem" of the TCP line in /proc/net/sockstat.
func tcpPages(sockstat string) uint64 {
	for line := range strings.Lines(sockstat) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] != "TCP:" {
			continue
		}
		for i := 1; i+1 < len(words); i += 2 {
			if words[i] == "mem" {
				n, _ := strconv.ParseUint(words[i+1], 10, 64)
				return n
			}
		}
	}
	return 0
}

// Descriptors is how many file descriptors process pid has open.
func Descriptors(pid int) (int, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return 0, fmt.Errorf("counting descriptors: %w", err)
	}
	return len(entries), nil
}

// colonFields reads lines such as "VmRSS:   1740 kB" or "Threads: 7". Sizes come
// out in bytes; lines with anything but a number are left out.
func colonFields(text string) map[string]uint64 {
	fields := make(map[string]uint64)
	for line := range strings.Lines(text) {
		name, rest, found := strings.Cut(line, ":")
		words := strings.Fields(rest)
		if !found || len(words) == 0 {
			continue
		}
		n, err := strconv.ParseUint(words[0], 10, 64)
		if err != nil {
			continue
		}
		if len(words) > 1 && words[1] == "kB" {
			n *= 1024
		}
		fields[name] = n
	}
	return fields
}

// AvailableMemory is what the machine could give to processes, in bytes, without
// swapping.
func AvailableMemory() (uint64, error) {
	meminfo, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, fmt.Errorf("reading available memory: %w", err)
	}
	return colonFields(string(meminfo))["MemAvailable"], nil
}
