package scenario

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ws-gateway/bench/abuse"
)

// phase is a part of the abuse.
type phase struct {
	name     string
	attacks  []attack
	duration time.Duration
	push     bool // sends for the attackers' users go on all the time

	// effects are what the gateway must be seen to do, or the phase proves nothing.
	effects []effect
}

// attack is one attacker: a process of its own.
type attack struct {
	kind  string
	conns int
	rate  float64 // turns a second; a turn is a byte, a batch of frames, a handshake, …
}

// effect is a metric, or an answer seen by attackers ("HTTP 431", "close 1002"),
// that must grow.
type effect struct {
	what  string
	least float64
}

// deadlines of the gateway, short enough for a phase to reach them.
type deadlines struct{ handshake, ping, write, close time.Duration }

// args sets them. Every frame counts as a sign of life: the good clients send
// messages and no pings.
func (d deadlines) args() []string {
	return []string{
		"--handshake-timeout", d.handshake.String(), "--ping-timeout", d.ping.String(), "--keepalive", "any",
		"--write-timeout", d.write.String(), "--close-timeout", d.close.String(),
	}
}

// slack is how much later than its deadline something may happen: attackers take a
// second or two to connect, wheels turn in ticks, and the machine is shared.
const slack = 3 * time.Second

// phases is the abuse in its order. Numbers are those of a full run; scale is
// applied to all of them, intensity to rates.
func phases(d deadlines, each time.Duration, scale, intensity float64) []phase {
	n := func(conns int) int { return max(2, int(float64(conns)*scale)) }
	r := func(rate float64) float64 { return rate * scale * intensity }
	half := func(conns int) float64 { return float64(n(conns)) / 2 }
	return []phase{
		{name: "calm", duration: each},
		{
			name: "slow-heads", attacks: []attack{{abuse.SlowHeads, n(5_000), r(2_500)}}, duration: max(each, d.handshake+slack),
			effects: []effect{{"handshake_timeouts_total", half(5_000)}},
		},
		{
			name: "slow-frames", attacks: []attack{{abuse.SlowFrames, n(5_000), r(5_000)}}, duration: max(each, d.ping+slack),
			effects: []effect{{"closed_total{ping_timeout}", half(5_000)}},
		},
		{
			name: "pings", attacks: []attack{{abuse.Pings, n(50), r(800)}}, duration: each,
			effects: []effect{{"sent_frames_total", r(800) * each.Seconds()}},
		},
		{
			name: "fragments", attacks: []attack{{abuse.Fragments, n(50), r(800)}}, duration: each,
			effects: []effect{{"received_frames_total", r(800) * each.Seconds()}},
		},
		{
			name: "empty", attacks: []attack{{abuse.Empty, n(50), r(400)}}, duration: each,
			effects: []effect{{"received_messages_total", r(400) * each.Seconds()}},
		},
		{
			name: "churn", attacks: []attack{{abuse.Churn, n(200), r(1_600)}}, duration: each,
			effects: []effect{{"closed_total{peer_closed}", 1}, {"closed_total{disconnected}", 1}},
		},
		{
			name: "half-open", attacks: []attack{{abuse.Silent, n(2_000), r(4_000)}}, duration: max(each, d.ping+d.close+slack),
			effects: []effect{{"closed_total{ping_timeout}", half(2_000)}},
		},
		{
			name: "stalled", attacks: []attack{{abuse.Stalled, n(40), r(200)}}, duration: max(each, d.write+slack), push: true,
			effects: []effect{{"closed_total{slow_consumer}", half(40)}},
		},
		{
			name: "resets", attacks: []attack{{abuse.Resets, n(300), r(1_500)}}, duration: each,
			effects: []effect{{"closed_total{disconnected}", 1}},
		},
		{
			name: "noise", attacks: []attack{{abuse.Noise, n(300), r(2_000)}}, duration: each,
			effects: []effect{
				{"handshake_errors_total", 1}, {"closed_total{protocol_error}", 1}, {"closed_total{invalid_utf8}", 1},
				{"HTTP 400", 1}, {"close 1002", 1}, {"close 1007", 1},
			},
		},
		{
			name: "oversized", attacks: []attack{{abuse.Oversized, n(100), r(600)}}, duration: each,
			effects: []effect{
				{"closed_total{message_too_big}", 1}, {"closed_total{protocol_error}", 1}, {"HTTP 431", 1}, {"close 1009", 1},
			},
		},
		{name: "calm-after", duration: each},
	}
}

// chosen keeps those that are named, in their order; none named is all.
func chosen[T any](kind string, all []T, only []string, name func(T) string, separator string) ([]T, error) {
	names := make([]string, len(all))
	for i, one := range all {
		names[i] = name(one)
	}
	for _, wanted := range only {
		if !slices.Contains(names, wanted) {
			return nil, fmt.Errorf("there is no %s %q; there are: %s", kind, wanted, strings.Join(names, separator))
		}
	}
	return slices.DeleteFunc(all, func(one T) bool { return len(only) > 0 && !slices.Contains(only, name(one)) }), nil
}
