package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// gcPercent is the collector's headroom over what is live. What lives here is
// mostly idle connections, which give it little to do: Go's default of 100 would
// take half as much memory again for each and save next to no CPU (GOGC=100
// ws-bench idle).
const gcPercent = 25

// tuneCollector sets it, unless GOGC in the environment says otherwise.
func tuneCollector() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

// memory is what the process may use.
type memory struct {
	limit   int64 // bytes that the cgroup allows, kernel memory included, or that GOMEMLIMIT says; 0: no limit
	runtime int64 // bytes that the Go runtime keeps below, if it can; 0: no limit
}

// readMemory asks for the cgroup's limit, of version 1 or 2 and of all cgroups
// above it. share is --memory-share: what the runtime is to be told of it, unless
// GOMEMLIMIT in the environment has told it already (told).
func readMemory(share int, told bool, limit memlimit.Provider) (memory, error) {
	var m memory
	bytes, err := limit()
	switch {
	case err == nil:
		m.limit = int64(min(bytes, math.MaxInt64))
	case errors.Is(err, memlimit.ErrNoLimit) || errors.Is(err, memlimit.ErrNoCgroup) || errors.Is(err, memlimit.ErrCgroupsNotSupported):
		err = nil
	default:
		err = fmt.Errorf("reading the memory limit of the cgroup: %w", err)
	}
	switch {
	case told:
		m.runtime = debug.SetMemoryLimit(-1)
	case share > 0 && m.limit > 0:
		m.runtime = m.limit / 100 * int64(share)
	}
	if m.runtime == math.MaxInt64 {
		m.runtime = 0
	}
	if told && m.runtime > 0 && (m.limit == 0 || m.runtime < m.limit) {
		m.limit = m.runtime
	}
	return m, err
}

// leave lets the runtime keep below what the kernel leaves of the limit. A
// GOMEMLIMIT, which then is the limit, stays as it is.
func (m *memory) leave(kernel int64) {
	if m.runtime > 0 && m.runtime < m.limit {
		m.runtime = min(m.runtime, max(m.limit-kernel, m.limit/4))
	}
}

// apply tells the runtime.
func (m memory) apply() {
	if m.runtime > 0 {
		debug.SetMemoryLimit(m.runtime)
	}
}
