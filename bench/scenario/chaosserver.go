package scenario

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"ws-gateway/badlink"
	"ws-gateway/bench/child"
)

// natsServer is the server of a cluster, which ends and comes back.
type natsServer struct {
	*stage
	links []*badlink.Link // that lead to it

	restarts, stops int

	mu      sync.Mutex
	process *child.Process // guarded by mu
}

// begin starts it, until the end of the round.
func (n *natsServer) begin() {
	n.cleanup(func() { n.kill() })
	check(n.run(n.ctx))
}

func (n *natsServer) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, restTimeout)
	defer cancel()
	p, err := child.Start(ctx, child.Spec{Name: "NATS server", Path: n.Self, Args: []string{"nats-server"}, Ready: addressAlone})
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.process = p
	n.mu.Unlock()
	for _, l := range n.links {
		l.Lead(p.Addr())
	}
	return nil
}

func (n *natsServer) addr() netip.AddrPort {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.process.Addr()
}

// signal sends one to the process, which may have ended.
func (n *natsServer) signal(s unix.Signal) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process != nil && n.process.Alive() == nil {
		_ = unix.Kill(n.process.PID(), s) // it may end just now
	}
}

// kill ends it without a word.
func (n *natsServer) kill() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process != nil {
		n.process.Kill()
	}
}

// misbehave kills the server and starts another, or stops it for a while, again and
// again until ctx is done. Then it is well.
func (n *natsServer) misbehave(ctx context.Context, temper badlink.Temper, random *rand.Rand) error {
	for {
		pause(ctx, between(random, temper.Well/4, temper.Well), nil)
		if ctx.Err() != nil {
			return nil
		}
		longest := temper.Fault
		if random.IntN(8) == 0 {
			longest = temper.Longest
		}
		if d := between(random, 0, longest); random.IntN(2) == 0 {
			n.restarts++
			n.kill()
			pause(ctx, d, nil)
			if err := n.run(n.ctx); err != nil {
				return errors.Join(err, n.ctx.Err())
			}
		} else {
			n.stops++
			n.signal(unix.SIGSTOP)
			pause(ctx, d, nil)
			n.signal(unix.SIGCONT)
		}
	}
}

func between(random *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(random.Int64N(int64(high-low)))
}
