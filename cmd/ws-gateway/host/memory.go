package host

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// Memory is what the process may use.
type Memory struct {
	Limit   int64 // bytes that the cgroup allows, kernel memory included, or that GOMEMLIMIT says; 0: no limit
	Runtime int64 // bytes that the Go runtime keeps below, if it can; 0: no limit
}

// MemoryLimit returns the bytes that the process may use; 0 if there is no limit, or
// if it cannot be read, which [LookAround] reports.
func MemoryLimit() int64 {
	m, _ := readMemory(0, os.Getenv("GOMEMLIMIT") != "", memlimit.FromCgroup)
	return m.Limit
}

// readMemory reads the cgroup's limit, version 1 or 2, parents included. share is
// --memory-share, the percentage of the limit that the Go runtime gets, unless
// GOMEMLIMIT in the environment has set the runtime's limit already (told).
func readMemory(share int, told bool, limit memlimit.Provider) (Memory, error) {
	var m Memory
	bytes, err := limit()
	switch {
	case err == nil:
		m.Limit = int64(min(bytes, math.MaxInt64))
	case errors.Is(err, memlimit.ErrNoLimit) || errors.Is(err, memlimit.ErrNoCgroup) || errors.Is(err, memlimit.ErrCgroupsNotSupported):
		err = nil
	default:
		err = fmt.Errorf("reading the memory limit of the cgroup: %w", err)
	}
	switch {
	case told:
		m.Runtime = debug.SetMemoryLimit(-1)
	case share > 0 && m.Limit > 0:
		m.Runtime = m.Limit / 100 * int64(share)
	}
	if m.Runtime == math.MaxInt64 {
		m.Runtime = 0
	}
	if told && m.Runtime > 0 && (m.Limit == 0 || m.Runtime < m.Limit) {
		m.Limit = m.Runtime
	}
	return m, err
}

// Leave lowers the runtime's limit to what remains if the kernel uses so many bytes.
// A GOMEMLIMIT stays as it is.
func (m *Memory) Leave(kernel int64) {
	if m.Runtime > 0 && m.Runtime < m.Limit {
		m.Runtime = min(m.Runtime, max(m.Limit-kernel, m.Limit/4))
	}
}

// Apply sets the Go runtime's limit.
func (m Memory) Apply() {
	if m.Runtime > 0 {
		debug.SetMemoryLimit(m.Runtime)
	}
}
