package scenario

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"ws-gateway/bench/load"
)

// work is what goes on beside the good clients: churn and pushes, each on a
// goroutine of its own.
type work struct {
	soak   *soak
	quit   [2]context.CancelFunc // of churn and push; of those who listen
	groups [2]sync.WaitGroup
	errs   [3]error

	churned, heard load.Gathering
	calls          uint64
}

// begin starts it. It must be ended.
func (k *soak) begin(ctx context.Context) *work {
	w := &work{soak: k}
	active, stop := context.WithCancel(ctx)
	listening, deafen := context.WithCancel(ctx)
	w.quit = [2]context.CancelFunc{stop, deafen}
	w.groups[0].Go(func() { w.churned, w.errs[0] = k.churn.Churn(active, k.cfg.Churn) })
	w.groups[0].Go(func() { w.errs[1] = w.push(active) })
	w.groups[1].Go(func() { w.heard, w.errs[2] = k.pushed.Churn(listening, 0) })
	return w
}

// end stops the work, and lets what was pushed arrive.
func (w *work) end(ctx context.Context) error {
	w.quit[0]()
	w.groups[0].Wait()
	for deadline := time.Now().Add(settling); w.missing() > 0 && time.Now().Before(deadline); {
		if pause(ctx, sampling, nil) != nil {
			break // sample has met the same
		}
	}
	w.quit[1]()
	w.groups[1].Wait()
	return errors.Join(w.errs[:]...)
}

// missing is how many pushed messages have not arrived.
func (w *work) missing() int64 {
	return int64(w.calls*pushedAtOnce) - int64(w.soak.pushed.Messages())
}

// push calls the send API in turn for all that messages are pushed to, each call
// when it is due.
func (w *work) push(ctx context.Context) error {
	k := w.soak
	if k.cfg.Push <= 0 {
		return nil
	}
	ticker := time.NewTicker(time.Duration(float64(time.Second) / k.cfg.Push))
	defer ticker.Stop()
	for next := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		names := make([]string, pushedAtOnce)
		for i := range names {
			names[i] = fmt.Sprintf(`"%s-%d"`, pushGroup, k.firstPushed()+next)
			next = (next + 1) % k.cfg.Pushed
		}
		command := `{"payload":{"event":"news","data":"something has happened"},"users":[` + strings.Join(names, ",") + `]}`
		if err := send(k.server.Addr(), []byte(command)); err != nil {
			return err
		}
		w.calls++
	}
}
