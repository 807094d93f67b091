package proc

import (
	"fmt"
	"os"
	"time"
)

// Process is what a process has used and holds at one time.
type Process struct {
	CPU         time.Duration
	Memory      Memory
	Descriptors int
}

// Of looks at process pid.
func Of(pid int) (p Process, err error) {
	if p.Memory, err = MemoryOf(pid); err != nil {
		return p, err
	}
	if p.Descriptors, err = Descriptors(pid); err != nil {
		return p, err
	}
	p.CPU, err = CPU(pid)
	return p, err
}

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
	p, err := fs.Proc(pid)
	if err != nil {
		return Memory{}, fmt.Errorf("reading memory: %w", err)
	}
	exact, err := p.ProcSMapsRollup()
	if err != nil {
		return Memory{}, fmt.Errorf("reading memory: %w", err)
	}
	counted, err := p.NewStatus()
	if err != nil {
		return Memory{}, fmt.Errorf("reading memory: %w", err)
	}
	if exact.Rss == 0 || counted.VmRSS == 0 {
		return Memory{}, fmt.Errorf("process %d has no memory: it has ended", pid)
	}
	return Memory{Resident: exact.Rss, Proportional: exact.Pss, Anonymous: exact.Anonymous, VmRSS: counted.VmRSS, Peak: counted.VmHWM}, nil
}

// Descriptors is how many file descriptors process pid has open.
func Descriptors(pid int) (int, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return 0, fmt.Errorf("counting descriptors: %w", err)
	}
	return len(entries), nil
}

// Kernel is memory that the kernel holds for the whole machine, in bytes: the
// sockets of both ends of a loopback connection are in it.
type Kernel struct {
	Slab        uint64 // kernel objects: sockets, files, epoll items, …
	SocketPages uint64 // buffers of TCP sockets
}

// KernelMemory reads the kernel's memory.
func KernelMemory() (k Kernel, err error) {
	info, err := fs.Meminfo()
	if err != nil || info.SlabBytes == nil {
		return k, fmt.Errorf("reading kernel memory: %w", err)
	}
	sockets, err := fs.NetSockstat()
	if err != nil {
		return k, fmt.Errorf("reading socket memory: %w", err)
	}
	k.Slab = *info.SlabBytes
	for _, p := range sockets.Protocols {
		if p.Protocol == "TCP" && p.Mem != nil {
			k.SocketPages = uint64(*p.Mem) * uint64(os.Getpagesize())
		}
	}
	return k, nil
}

// AvailableMemory is what the machine could give to processes, in bytes, without
// swapping.
func AvailableMemory() (uint64, error) {
	info, err := fs.Meminfo()
	if err != nil || info.MemAvailableBytes == nil {
		return 0, fmt.Errorf("reading available memory: %w", err)
	}
	return *info.MemAvailableBytes, nil
}
