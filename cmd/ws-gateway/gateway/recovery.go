package gateway

import (
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"ws-gateway/forward"
	"ws-gateway/forward/journal"
	"ws-gateway/hub"
	"ws-gateway/netpoll"
)

// recovery is the journal, and what a start does if the last process has crashed: it
// sends the close events of that process's connections, and accepts no client before
// that is done. The management API answers meanwhile, as the app may use it while it
// handles these events.
type recovery struct {
	g       *Gateway
	journal *journal.Journal
	lost    []journal.Entry
	ctx     context.Context
	stop    context.CancelFunc
	open    sync.Once
}

func newRecovery(g *Gateway) (*recovery, error) {
	j, err := journal.Open(g.cfg.Journal, g.log)
	if err != nil {
		return nil, err
	}
	r := &recovery{g: g, journal: j, lost: j.Lost()}
	r.ctx, r.stop = context.WithCancel(context.Background())
	return r, nil
}

// spare takes connections off the lost ones that the file of --resume-state has settled:
// those that were taken in, with their session, and those that have ended.
func (r *recovery) spare(settled map[netpoll.ID]*hub.Session) {
	r.lost = slices.DeleteFunc(r.lost, func(e journal.Entry) bool {
		id, ours := r.g.hub.ParseID([]byte(e.ID))
		_, is := settled[id]
		if ours && is {
			delete(settled, id)
		}
		return ours && is
	})
	r.g.remember(settled) // the journal has not been there, or has forgotten them
}

// prepare keeps clients out. It must be called before the loops run.
func (r *recovery) prepare() { r.g.hub.SetRecovering(len(r.lost) > 0) }

// start lets clients in, after the close events if there are any.
func (r *recovery) start() {
	if len(r.lost) == 0 {
		r.letIn()
		return
	}
	r.g.log.Warn().Stringer("listen", r.g.address).Int("connections", len(r.lost)).
		Msg("journal: the gateway ended while connections were open; sending their close events before clients are taken")
	r.g.serving.Go(r.run)
}

// run sends the close events. Clients wait for them no longer than events are tried.
func (r *recovery) run() {
	began := time.Now()
	limit := time.AfterFunc(r.g.cfg.CallbackRetryFor+r.g.cfg.CallbackTimeout, r.letIn)
	err := r.g.events.CloseLost(r.ctx, forward.Restarted, r.takeLost())
	limit.Stop()
	if r.ctx.Err() != nil {
		return // what is left is sent at the next start
	}
	e := r.g.log.Info()
	if err != nil {
		e = r.g.log.Warn().Err(err)
	}
	e.Dur("took_ms", time.Since(began)).Msg("journal: the connections of the last run are closed")
	r.letIn()
}

// takeLost yields the connections that were lost, and releases each.
func (r *recovery) takeLost() iter.Seq[forward.Lost] {
	lost := r.lost
	r.lost = nil
	return func(yield func(forward.Lost) bool) {
		for i, e := range lost {
			lost[i] = journal.Entry{}
			if !yield(forward.Lost{ID: e.ID, State: e.State, Meta: e.Meta}) {
				return
			}
		}
	}
}

func (r *recovery) letIn() {
	r.open.Do(func() {
		r.g.hub.SetRecovering(false)
		r.g.logReady()
	})
}

// end closes the journal. It must be called after the last record.
func (r *recovery) end() {
	r.stop()
	if err := r.journal.Close(); err != nil {
		r.g.log.Error().Err(err).Msg("closing the journal")
	}
}
