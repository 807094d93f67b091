package forward

import (
	"sync"
	"sync/atomic"

	"github.com/rs/zerolog"

	"ws-gateway/forward/callback"
)

// heads counts answers of whose head nothing but the status could be read, and logs the
// first: an app that does it once does it always. Such an answer loses whatever else it
// says: a reply, a close, groups, which events of a batch have failed, Retry-After.
type heads struct {
	log        zerolog.Logger
	unreadable atomic.Uint64
	once       sync.Once
}

// look looks at the last answer that c has read.
func (h *heads) look(c *callback.Client, status int) {
	if !c.StatusOnly {
		return
	}
	h.unreadable.Add(1)
	h.once.Do(func() {
		h.log.Warn().Int("status", status).
			Msg("an answer's head is longer than 8 KiB, malformed or not complete: its status counts, and nothing else that it says is done; said once")
	})
}
