package admin

import (
	"context"
	"sync"
	"time"
)

// hubContext bounds the time that one command waits for the event loops. Hardly any command
// waits, so the timer is made when somebody asks for Done. It is for one goroutine and
// those that this one waits for.
type hubContext struct {
	context.Context // ends when the server gives up

	limit   time.Duration
	once    sync.Once
	limited context.Context
	cancel  context.CancelFunc
}

// hubWait begins a wait for the event loops. Release it.
func (s *Server) hubWait() *hubContext { return &hubContext{Context: s.ctx, limit: s.cfg.hubTimeout} }

// Done is closed when the time is over. The time begins with the first call.
func (c *hubContext) Done() <-chan struct{} {
	c.once.Do(func() { c.limited, c.cancel = context.WithTimeout(c.Context, c.limit) })
	return c.limited.Done()
}

// Err says why Done is closed.
func (c *hubContext) Err() error {
	if c.limited == nil {
		return c.Context.Err()
	}
	return c.limited.Err()
}

// renew lets the time begin again.
func (c *hubContext) renew() {
	c.release()
	*c = hubContext{Context: c.Context, limit: c.limit}
}

// release frees the timer if there is one.
func (c *hubContext) release() {
	if c.cancel != nil {
		c.cancel()
	}
}
