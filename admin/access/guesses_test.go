package access

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

func at(text string) Peer {
	if text == "unix" {
		return PeerOf(&net.UnixAddr{Net: "unix"})
	}
	return PeerOf(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(text)))
}

// quiet returns guesses that hold answers back by the synctest bubble's clock.
func quiet(log *bytes.Buffer) *guesses {
	return newGuesses(zerolog.New(log), time.Sleep)
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
		if g.wrong.Load() != 18 || g.throttled.Load() != 0 || g.counts().Waiting != 0 {
			t.Errorf("%d wrong, %d throttled, %d held back", g.wrong.Load(), g.throttled.Load(), g.counts().Waiting)
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
		if got := g.counts().Waiting; got != maxPeerWaits || atOnce != 10-maxPeerWaits {
			t.Errorf("%d of one peer are held back, %d are not", got, atOnce)
		}
		for i := range 200 {
			go try(fmt.Sprintf("192.0.2.%d:1", i+1))
		}
		synctest.Wait()
		if got := g.counts().Waiting; got != maxWaiting || atOnce != 210-maxWaiting || g.throttled.Load() != uint64(atOnce) {
			t.Errorf("%d are held back, %d are not", got, atOnce)
		}
		time.Sleep(longestDelay)
		synctest.Wait()
		if got := g.counts().Waiting; got != 0 {
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
	if e := g.peers[at("10.9.9.9:1").Network]; e == nil || e.Value.(*guesser).wrong != 3*maxGuessers {
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
