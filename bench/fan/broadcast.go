package fan

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"runtime"
	"time"
)

// Size is the payload of a broadcast in bytes.
const Size = 64

// payload of a broadcast: "broadcast ", filling, and its number, so that no two
// are alike.
func payload(seq uint32) []byte {
	p := append([]byte("broadcast "), bytes.Repeat([]byte("."), Size-len("broadcast ")-8)...)
	return hex.AppendEncode(p, []byte{byte(seq >> 24), byte(seq >> 16), byte(seq >> 8), byte(seq)})
}

// Broadcast has the server send one text message to all, waits until every
// connection has it, and returns how long that took from sending on. After an error
// the Crowd can only be closed.
func (c *Crowd) Broadcast(ctx context.Context) (last time.Duration, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p := payload(c.seq)
	c.seq++
	frame := plain(p)
	for i := range c.members {
		c.members[i].matched = 0
	}
	began := time.Now()
	if err := c.members[0].write(masked(p)); err != nil {
		return 0, fmt.Errorf("fan: asking for a broadcast: %w", err)
	}
	left := len(c.members)
	for left > 0 {
		events, err := c.next(ctx)
		if err != nil {
			return 0, fmt.Errorf("fan: %d of %d connections wait for broadcast %d: %w", left, len(c.members), c.seq, err)
		}
		for _, e := range events {
			m := &c.members[e.Fd]
			waited := int(m.matched) < len(frame)
			if err := c.match(m, frame); err != nil {
				return 0, fmt.Errorf("fan: connection %d: %w", e.Fd, err)
			}
			if waited && int(m.matched) == len(frame) {
				left--
			}
		}
	}
	return time.Since(began), nil
}
