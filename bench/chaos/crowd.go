package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
)

// CrowdConfig says who comes.
type CrowdConfig struct {
	Gateway netip.AddrPort
	Seats   int // connections at a time
	Seed    uint64

	// Close is the app's call of the close API.
	Close func(user string, code int) error
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
			for n := 0; ctx.Err() == nil; n++ {
				c := visit(ctx, cfg, fmt.Sprintf("seat%d-%d", seat, n), random)
				mu.Lock()
				all = append(all, c)
				mu.Unlock()
				if c.End == Never {
					pass(ctx, between(random, 0, patience/100))
				}
			}
		})
	}
	seats.Wait()
	return all
}
