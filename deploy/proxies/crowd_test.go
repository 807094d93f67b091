//go:build proxies

package proxies

import (
	"context"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"ws-gateway/bench/load"
	"ws-gateway/e2e/harness"
)

func TestFiveThousandAtOnce(t *testing.T) {
	const crowd = 5000
	each(t, func(t *testing.T, k kind) {
		s := setUpBare(t, k, false, harness.Plain(t))
		a, g := s.app, s.gateway
		harness.Poll(t, "whoever asked first to leave", func() bool { opened, closed := a.counts(); return opened > 0 && opened == closed })
		before, _ := a.counts()

		herd, err := load.NewHerd(load.HerdConfig{
			Target: netip.MustParseAddrPort(s.proxy.addr), Conns: crowd, Window: 256, Backoff: 100 * time.Millisecond, Patience: patience,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer herd.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
		defer cancel()
		came, err := herd.Gather(ctx, 0)
		if err != nil {
			t.Fatalf("%d of %d came in: %v; %+v", herd.Open(), crowd, err, came.Answers)
		}
		if came.Refused() > 0 || came.Ended > 0 {
			t.Errorf("refused %v, ended %d, failed %d: %s", came.Answers, came.Ended, came.Failed, came.Failure)
		}

		if status, answer := g.call("POST", "/tapr/ws/conn/send", `{"all":true,"payload":"to everybody"}`); status != http.StatusOK {
			t.Fatalf("send answered %d %s", status, answer)
		}
		reading, stop := context.WithCancel(ctx)
		read := make(chan error, 1)
		go func() {
			_, err := herd.Churn(reading, 0)
			read <- err
		}()
		harness.Poll(t, "everybody to have the message", func() bool { return herd.Messages() >= crowd })
		stop()
		if err := <-read; err != nil {
			t.Fatal(err)
		}
		if herd.Messages() != crowd || herd.Open() != crowd {
			t.Errorf("%d messages for %d connections", herd.Messages(), herd.Open())
		}

		if stuck, err := herd.Leave(ctx); err != nil || stuck > 0 {
			t.Errorf("%d connections did not end, error %v", stuck, err)
		}
		harness.Poll(t, "every close event", func() bool { _, closed := a.counts(); return closed == before+crowd })
		if opened, _ := a.counts(); opened != before+crowd {
			t.Errorf("%d open events, want %d", opened-before, crowd)
		}
	})
}
