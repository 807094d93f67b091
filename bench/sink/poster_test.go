package sink

import (
	"context"
	"net/netip"
	"testing"
	"time"
)

func TestAPosterSendsEachConnectionsMessagesInOrder(t *testing.T) {
	m := message(t)
	c := count(t, m)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Poster{Target: c.addr, Message: m, Conns: 10, Concurrency: 4}.Run(ctx) }()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for s := stats(t, c); s.Message < 200 && s.Failed == 0; s = stats(t, c) {
		<-tick.C
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if s := stats(t, c); s.Failed != 0 || s.Open != 10 || s.Message+s.Open != s.Requests {
		t.Errorf("got %+v", s)
	}
}

func TestAPosterEndsAtItsFirstFailure(t *testing.T) {
	err := Poster{Target: netip.MustParseAddrPort("127.0.0.1:1"), Message: message(t), Conns: 10, Concurrency: 4}.Run(t.Context())
	if err == nil {
		t.Error("nobody listens, and there is no error")
	}
}
