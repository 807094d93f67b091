package forward

import (
	"context"
	"time"
)

// settleLimit is how long Settle waits at most: an answer that has arrived is
// dealt with in microseconds, unless the process has no time at all.
const settleLimit = time.Second

// Settle returns once every answer of the app that has arrived has been dealt
// with: Config.Reply, or the done function of Authorize, has returned. So what the
// app asks for after it has answered an event comes after what its answer says,
// if Settle is called first. Keys limits it to these connections. It waits for no
// answer that has not arrived, for a second at most, and until ctx is done.
//
// Unless Config has Reply or Settles it does nothing.
func (f *Forwarder) Settle(ctx context.Context, keys ...uint64) {
	if !f.cfg.Settles {
		return
	}
	var limit <-chan time.Time
	for _, w := range f.workers {
		for {
			dealt := w.client.Watch.Arrived(keys)
			if dealt == nil {
				break
			}
			if limit == nil {
				timer := time.NewTimer(settleLimit)
				defer timer.Stop()
				limit = timer.C
			}
			select {
			case <-dealt:
			case <-limit:
				return
			case <-ctx.Done():
				return
			}
		}
	}
}
