package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

// CrowdConfig says who comes.
type CrowdConfig struct {
	Gateway netip.AddrPort
	Seats   int // connections at a time
	Seed    uint64

	// Close is the app's call of the close API.
	Close func(user string, code int) error

	// Of clients to whom Senders send.
	Present *Present                                     // nil: nobody sends; what comes are replies
	Stay    time.Duration                                // how long a client stays after its messages, at the most
	Settle  <-chan struct{}                              // once it is closed nobody comes or goes any more until the crowd ends
	Name    func(seat, n int) (user string, shared bool) // of the n-th client on a seat; shared: others have it too

	// Of clients whose sessions survive their connections.
	Links     []string // where they connect: one of these each time; nil: they don't resume
	ResumeFor time.Duration
}

// settled reports whether nobody comes or goes any more.
func (cfg *CrowdConfig) settled() bool {
	select {
	case <-cfg.Settle:
		return true
	default:
		return false
	}
}

func (cfg *CrowdConfig) name(seat, n int) (user string, shared bool) {
	if cfg.Name != nil {
		return cfg.Name(seat, n)
	}
	return fmt.Sprintf("seat%d-%d", seat, n), false
}

// Crowd has clients come and go until ctx is done, one after the other on each
// seat, and returns all that there were, each ended.
func Crowd(ctx context.Context, cfg CrowdConfig) []Client {
	var mu sync.Mutex
	var all []Client // guarded by mu
	var seats sync.WaitGroup
	for seat := range cfg.Seats {
		seats.Go(func() {
			random := rand.New(rand.NewPCG(cfg.Seed, uint64(seat)))
			for n := 0; ctx.Err() == nil && !cfg.settled(); n++ {
				user, shared := cfg.name(seat, n)
				var came []Client
				if cfg.Links != nil {
					came = roam(ctx, &cfg, user, random)
				} else {
					came = []Client{visit(ctx, &cfg, user, shared, random)}
				}
				mu.Lock()
				all = append(all, came...)
				mu.Unlock()
				if came[0].End == Never {
					pass(ctx, between(random, 0, patience/100))
				}
			}
		})
	}
	seats.Wait()
	return all
}
