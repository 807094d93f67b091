package forward

import (
	"context"
	"time"
)

// settleLimit is how long Settle waits at most. An answer that has arrived is dealt with
// in microseconds, unless the process gets no time at all.
const settleLimit = time.Second

// Settle returns once every answer of the app that has arrived has been dealt with, that
// is, Config.Meta has changed, and Config.Regroup and Config.Reply, or the done function of Authorize, have returned. Call it before doing
// what the app asks for: if the app asked after it had answered an event, that comes
// after what its answer says. Keys limits it to these connections. It does not wait for
// answers that have not arrived, nor longer than a second, nor after ctx is done.
//
// Unless Config has Reply, Regroup, Meta or Settles it does nothing.
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
