package admin

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

func at(text string) net.Addr {
	if text == "unix" {
		return &net.UnixAddr{Net: "unix"}
	}
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(text))
}

// quiet is guesses whose clock is the bubble's.
func quiet(log *bytes.Buffer) *guesses {
	return newGuesses(zerolog.New(log), make(chan struct{}))
}

func TestWrongTokensAreAnsweredLaterAndLaterForEachPeerAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := quiet(new(bytes.Buffer))
		took := func(addr string) time.Duration {
			began := time.Now()
			if left := g.slowDown(at(addr)); left != 0 {
				t.Errorf("%s is told to wait for %v itself", addr, left)
			}
			return time.Since(began)
		}
		for _, ms := range []int{50, 100, 200, 400, 800, 1600, 3200, 5000, 5000} {
			if got := took("192.0.2.1:1000"); got != time.Duration(ms)*time.Millisecond {
				t.Errorf("answered after %v, want %d ms", got, ms)
			}
		}
		for _, other := range []string{"192.0.2.2:1000", "[2001:db8::1]:1000", "127.0.0.1:1", "127.0.0.2:1", "[::1]:1", "unix"} {
			if got := took(other); got != firstDelay {
				t.Errorf("%s is answered after %v", other, got)
			}
		}
		for _, same := range []string{"[2001:db8::ffff:1]:7", "[::ffff:192.0.2.2]:7"} {
			if got := took(same); got != 2*firstDelay {
				t.Errorf("%s is answered after %v", same, got)
			}
		}
		time.Sleep(guessesForget + time.Second)
		if got := took("192.0.2.1:1000"); got != firstDelay {
			t.Errorf("after a long pause it is answered after %v", got)
		}
		if g.wrong.Load() != 18 || g.throttled.Load() != 0 || g.held() != 0 {
			t.Errorf("%d wrong, %d throttled, %d held back", g.wrong.Load(), g.throttled.Load(), g.held())
		}
	})
}

func TestManyConnectionsTryNoMoreTokensThanOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := quiet(new(bytes.Buffer))
		peer := at("192.0.2.1:1")
		for range 10 {
			g.slowDown(peer)
		}
		go g.slowDown(peer)
		synctest.Wait()
		if got := g.due(at("192.0.2.1:2")); got != longestDelay {
			t.Errorf("another connection is looked at in %v", got)
		}
		if got := g.due(at("192.0.2.2:2")); got != 0 {
			t.Errorf("another address is looked at in %v", got)
		}
		time.Sleep(longestDelay)
		if got := g.due(peer); got != 0 {
			t.Errorf("afterwards it is looked at in %v", got)
		}
	})
}

func TestWhoHadTheRightTokenIsNotLockedOutByNeighbours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := quiet(new(bytes.Buffer))
		peer := at("192.0.2.1:1")
		g.rightToken(peer) // of whom nothing is known: nothing to note
		for range 10 {
			g.slowDown(peer)
		}
		g.rightToken(peer)
		go g.slowDown(peer)
		synctest.Wait()
		if got := g.due(peer); got != 0 {
			t.Errorf("it is looked at in %v", got)
		}
		time.Sleep(rightFor + time.Second)
		go g.slowDown(peer)
		synctest.Wait()
		if got := g.due(peer); got == 0 {
			t.Error("the address is trusted for ever")
		}
		time.Sleep(longestDelay)
	})
}

func TestFewAnswersAreHeldBackAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := quiet(new(bytes.Buffer))
		var mu sync.Mutex
		atOnce := 0
		try := func(addr string) {
			if g.slowDown(at(addr)) > 0 {
				mu.Lock()
				atOnce++
				mu.Unlock()
			}
		}
		for i := range 10 {
			go try(fmt.Sprintf("127.0.0.1:%d", i+1))
		}
		synctest.Wait()
		if got := g.held(); got != maxPeerWaits || atOnce != 10-maxPeerWaits {
			t.Errorf("%d of one peer are held back, %d are not", got, atOnce)
		}
		for i := range 200 {
			go try(fmt.Sprintf("192.0.2.%d:1", i+1))
		}
		synctest.Wait()
		if got := g.held(); got != maxWaiting || atOnce != 210-maxWaiting || g.throttled.Load() != uint64(atOnce) {
			t.Errorf("%d are held back, %d are not", got, atOnce)
		}
		time.Sleep(longestDelay)
		synctest.Wait()
		if got := g.held(); got != 0 {
			t.Errorf("%d are held back for ever", got)
		}
	})
}

func TestWhoIsRememberedIsBounded(t *testing.T) {
	g := quiet(new(bytes.Buffer))
	g.wait = func(time.Duration) {}
	for i := range 3 * maxGuessers {
		g.slowDown(at("10.9.9.9:1")) // stays, as it comes again
		g.slowDown(at(fmt.Sprintf("10.0.%d.%d:1", i/256, i%256)))
	}
	if len(g.peers) != maxGuessers || g.recent.Len() != maxGuessers || g.known.Load() != maxGuessers {
		t.Errorf("%d, %d, %d peers", len(g.peers), g.recent.Len(), g.known.Load())
	}
	if e := g.peers[guesserOf(at("10.9.9.9:1"))]; e == nil || e.Value.(*guesser).wrong != 3*maxGuessers {
		t.Error("who came last was forgotten")
	}
}

func TestAPeersWrongTokensAreLoggedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		g := quiet(&log)
		g.wait = func(time.Duration) {}
		for range 5 {
			g.slowDown(at("192.0.2.1:1"))
		}
		if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), `"peer":"192.0.2.1","times":1`) {
			t.Errorf("logged:\n%s", &log)
		}
		log.Reset()
		time.Sleep(guessLogEvery)
		g.slowDown(at("192.0.2.1:1"))
		if !strings.Contains(log.String(), `"times":5`) {
			t.Errorf("logged:\n%s", &log)
		}
		log.Reset()
		time.Sleep(guessLogEvery)
		for i := range 100 {
			g.slowDown(at(fmt.Sprintf("[2001:db8:0:%d::1]:1", i)))
		}
		if n := strings.Count(log.String(), "\n"); n != guessLogLines || !strings.Contains(log.String(), `"peer":"2001:db8:0:9::/64"`) {
			t.Errorf("logged:\n%s", &log)
		}
		log.Reset()
		time.Sleep(guessLogEvery)
		g.slowDown(at("unix"))
		if !strings.Contains(log.String(), `"peer":"unix socket","times":1,"times_by_others":90`) {
			t.Errorf("logged:\n%s", &log)
		}
	})
}

func TestDelaysNeverShrink(t *testing.T) {
	for n := 1; n < 200; n++ {
		if d, next := delayOf(n), delayOf(n+1); d <= 0 || next < d || next > longestDelay {
			t.Fatalf("%d: %v, then %v", n, d, next)
		}
	}
}

// Through the door: who tries tokens waits, is turned away when it tries in
// parallel, and the app on this host notices nothing.
func TestGuessersWaitAndTheAppDoesNot(t *testing.T) {
	release := make(chan struct{})
	r := newRig(t, func(cfg *Config) {
		cfg.Token = "right"
		cfg.holdBack = func(func(time.Duration)) func(time.Duration) { return func(time.Duration) { <-release } }
	})
	strangers := newCrowd()
	r.serve(strangers)
	const get = "GET /tapr/ws/conn/count HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "

	first := strangers.from(t, "192.0.2.1:1").write(get + "wrong\r\n\r\n")
	await(t, "the first answer to be held back", func() bool { return r.admin.guesses.held() == 1 })
	for _, token := range []string{"wrong", "right"} {
		got := strangers.from(t, "192.0.2.1:2").write(get + token + "\r\n\r\n").read("GET")
		if got.status != 429 || got.header.Get("Retry-After") != "1" || !got.close {
			t.Errorf("%s, meanwhile: %+v", token, got)
		}
	}
	if got := strangers.from(t, "192.0.2.1:3").write("GET /tapr/ws/conn/count HTTP/1.1\r\nHost: x\r\n\r\n").read("GET"); got.status != 401 {
		t.Errorf("without a token: %+v", got)
	}
	if got := strangers.from(t, "192.0.2.2:1").write(get + "right\r\n\r\n").read("GET"); got.status != 200 {
		t.Errorf("from elsewhere: %+v", got)
	}
	// The same on this host, where the app has the address of those who guess.
	for range maxPeerWaits {
		w := r.wire().write(get + "wrong\r\n\r\n")
		defer func() {
			if got := w.read("GET"); got.status != 401 {
				t.Errorf("at last: %+v", got)
			}
		}()
	}
	await(t, "the guessers of this host", func() bool { return r.admin.guesses.held() == 1+maxPeerWaits })
	for range 100 {
		if got := r.do("GET", "/tapr/ws/conn/count", "", "Authorization: Bearer wrong"); got.status != 429 {
			t.Fatalf("one more of them: %+v", got)
		}
		if got := r.do("GET", "/tapr/ws/conn/count", "", "Authorization: Bearer right"); got.status != 200 {
			t.Fatalf("the app: %+v", got)
		}
	}
	metrics := r.do("GET", "/metrics", "", "Authorization: Bearer right").body
	for _, line := range []string{"ws_gateway_api_wrong_tokens_total 105", "ws_gateway_api_throttled_total 102", "ws_gateway_api_wrong_tokens_waiting 5"} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("no %q in the metrics", line)
		}
	}
	close(release)
	if got := first.read("GET"); got.status != 401 || !got.close {
		t.Errorf("at last: %+v", got)
	}
}

func TestNobodyIsHeldBackOverTheEnd(t *testing.T) {
	r := newRig(t, func(cfg *Config) {
		cfg.Token = "right"
		cfg.holdBack = func(wait func(time.Duration)) func(time.Duration) {
			return func(time.Duration) { wait(time.Hour) }
		}
	})
	w := r.wire().write("GET /tapr/ws/conn/count HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer wrong\r\n\r\n")
	await(t, "the answer to be held back", func() bool { return r.admin.guesses.held() == 1 })
	r.admin.Shutdown(t.Context())
	if got := w.read("GET"); got.status != 401 {
		t.Errorf("%+v", got)
	}
}
