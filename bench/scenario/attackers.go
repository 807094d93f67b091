package scenario

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"ws-gateway/bench/abuse"
	"ws-gateway/bench/child"
	"ws-gateway/bench/proc"
)

// attacker is a process that does harm. It prints its target when it begins, its
// counts at the end.
type attacker struct {
	*child.Process
	cpu time.Duration // at its end
}

// startAttacker runs one.
func (s *stage) startAttacker(target netip.AddrPort, a attack, seed int) *attacker {
	return &attacker{Process: s.self("attacker "+a.kind,
		"attacker", "--target", target.String(), "--kind", a.kind, "--conns", strconv.Itoa(a.conns),
		"--rate", strconv.FormatFloat(a.rate, 'f', -1, 64), "--seed", strconv.Itoa(seed))}
}

// stop ends it and says what it has done.
func (a *attacker) stop() (counts abuse.Counts, err error) {
	a.cpu, _ = proc.CPU(a.PID()) // fails only when it has ended, which shows below
	a.Stop(stopGrace)
	if json.Unmarshal([]byte(a.Last()), &counts) != nil {
		return counts, fmt.Errorf("%w, without saying what it had done", a.Alive())
	}
	return counts, nil
}
