package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"ws-gateway/e2e/harness"
)

func TestWrongTokensAreAnsweredLaterAndLater(t *testing.T) {
	t.Parallel()
	const token = secret + "a-long-token"
	g := startPushOnly(t, "--admin-token", token)
	began := time.Now()
	for range 5 {
		if a := g.get(listPath, "Authorization: Bearer "+secret+"guess"); a.status != http.StatusUnauthorized {
			t.Errorf("a wrong token: %d %s", a.status, a.body)
		}
	}
	// 50, 100, 200, 400 and 800 ms; a slow machine only adds to that.
	if took := time.Since(began); took < 1550*time.Millisecond {
		t.Errorf("five wrong tokens took %v together", took)
	}
	for range 20 { // none is no guess
		if a := g.get(listPath); a.status != http.StatusUnauthorized {
			t.Errorf("no token: %d", a.status)
		}
	}
	line, ok := g.Log.Await(harness.Patience, func(l logLine) bool { return strings.HasPrefix(l.Text("message"), "wrong admin token") })
	if !ok || line.Text("peer") != "127.0.0.1" || line.Number("times") != 1 {
		t.Errorf("the log says %q", line.Raw)
	}
	metrics := g.get("/metrics", "Authorization: Bearer "+token).body
	for _, want := range []string{"ws_gateway_api_wrong_tokens_total 5", "ws_gateway_api_wrong_tokens_waiting 0"} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("no %q in the metrics", want)
		}
	}
}

// An attacker tries tokens on many connections at a time; the app, which on this
// host has the same address, is served all along.
func TestAFloodOfWrongTokensDoesNotKeepTheAppOut(t *testing.T) {
	t.Parallel()
	const token = secret + "a-long-token"
	g := startPushOnly(t, "--admin-token", token)
	var attackers sync.WaitGroup
	stop := make(chan struct{})
	answers := make(chan answer, 1<<16)
	for i := range 20 {
		attackers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if a, err := g.tryRequest("http://"+g.Addr, http.MethodPost, sendPath, `{"all":true,"payload":0}`, fmt.Sprintf("Authorization: Bearer %sguess%d-%d", secret, i, n)); err == nil {
					answers <- a
				}
			}
		})
	}
	stopped := sync.OnceFunc(func() { close(stop); attackers.Wait(); close(answers) })
	defer stopped()
	turnedAway := func() int {
		var n int
		body := g.get("/metrics", "Authorization: Bearer "+token).body
		_, rest, _ := strings.Cut(body, "\nws_gateway_api_throttled_total ")
		fmt.Sscan(rest, &n)
		return n
	}
	served := 0
	harness.Poll(t, "some attackers to be turned away while the app is served", func() bool {
		if a := g.get(countPath, "Authorization: Bearer "+token); a.status != http.StatusOK {
			t.Fatalf("the app is answered %d %s", a.status, a.body)
		}
		served++
		return served >= 50 && turnedAway() >= 20
	})
	stopped()
	waited := 0
	for a := range answers {
		switch {
		case a.status == http.StatusUnauthorized:
			waited++
		case a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" || !strings.Contains(a.body, `"code":429`):
			t.Fatalf("a wrong token is answered %d %s", a.status, a.body)
		}
	}
	if waited == 0 {
		t.Error("no wrong token was answered late")
	}
}
