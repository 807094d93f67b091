package admin

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"ws-gateway/netpoll"
)

func TestACommandWaitsForAnEventLoopNoLongerThanItMay(t *testing.T) {
	r := newRig(t, func(cfg *Config) { cfg.hubTimeout = 50 * time.Millisecond })
	// Both loops are blocked, and their mailboxes are full.
	over := make(chan struct{})
	atOnce, cancel := context.WithCancel(t.Context())
	cancel()
	for _, l := range r.sockets.Loops() {
		held := make(chan struct{})
		if err := l.Post(func(*netpoll.Loop) bool { close(held); <-over; return false }); err != nil {
			t.Fatal(err)
		}
		<-held
		for l.PostContext(atOnce, func(*netpoll.Loop) bool { return false }) == nil {
		}
	}
	defer close(over)
	// The shared port is served by these loops; management has another one here.
	r.ownListener()
	for body, path := range map[string]string{
		`{"payload":1,"all":true}`:               sendPath,
		`{"payload":1,"all":true,"report":true}`: sendPath,
		`{"all":true}`:                           closePath,
	} {
		if got := r.do("POST", path, body); !strings.Contains(got.body, `"code":504`) || !strings.Contains(got.body, "in time") {
			t.Errorf("%s %s answered %d %s", path, body, got.status, got.body)
		}
	}
}

func TestTheTimeOfACommandBeginsWhenItWaits(t *testing.T) {
	parent, cancel := context.WithCancel(t.Context())
	c := &hubContext{Context: parent, limit: time.Hour}
	if c.Err() != nil {
		t.Error(c.Err())
	}
	c.release()
	done := c.Done()
	cancel()
	<-done
	if !errors.Is(c.Err(), context.Canceled) {
		t.Errorf("%v", c.Err())
	}
	c.release()
	short := &hubContext{Context: t.Context(), limit: time.Nanosecond}
	<-short.Done()
	if !errors.Is(short.Err(), context.DeadlineExceeded) {
		t.Errorf("%v", short.Err())
	}
	if n := testing.AllocsPerRun(100, func() { (&hubContext{Context: t.Context()}).release() }); n > 1 {
		t.Errorf("%v allocations where nobody waits", n)
	}
}
