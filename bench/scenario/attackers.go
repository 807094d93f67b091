package scenario

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"ws-gateway/bench/abuse"
	"ws-gateway/bench/child"
	"ws-gateway/bench/proc"
)

// attacker is a process that does harm.
type attacker struct {
	process *child.Process
	cpu     time.Duration // at its end

	mu     sync.Mutex
	counts *abuse.Counts // guarded by mu until the process has ended: what it said last
}

// startAttacker runs one.
func (s *stage) startAttacker(target netip.AddrPort, a attack, seed int) *attacker {
	one := new(attacker)
	one.process = s.start(child.Spec{
		Name: "attacker " + a.kind, Path: s.Self, Ready: one.line,
		Args: []string{
			"attacker", "--target", target.String(), "--kind", a.kind, "--conns", strconv.Itoa(a.conns),
			"--rate", strconv.FormatFloat(a.rate, 'f', -1, 64), "--seed", strconv.Itoa(seed),
		},
	})
	return one
}

// line takes what the process prints: its target when it begins, its counts at
// the end.
func (a *attacker) line(text string) (netip.AddrPort, bool) {
	var counts abuse.Counts
	if json.Unmarshal([]byte(text), &counts) == nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.counts = &counts
		return netip.AddrPort{}, false
	}
	return addressAlone(text)
}

// stop ends it and says what it has done.
func (a *attacker) stop() (abuse.Counts, error) {
	a.cpu, _ = proc.CPU(a.process.PID()) // fails only when it has ended, which shows below
	a.process.Stop(stopGrace)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.counts == nil {
		return abuse.Counts{}, fmt.Errorf("%w, without saying what it had done", a.process.Alive())
	}
	return *a.counts, nil
}
