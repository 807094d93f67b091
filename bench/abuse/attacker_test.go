package abuse

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"ws-gateway/bench/sock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// victim takes connections, and gives each to serve, which may return at any time.
func victim(t *testing.T, serve func(net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				serve(c)
			})
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return netip.MustParseAddrPort(l.Addr().String())
}

// attack runs an attacker until enough says so.
func attack(t *testing.T, target netip.AddrPort, kind string, conns int, enough <-chan struct{}) Counts {
	t.Helper()
	a, err := New(Config{Target: target, Kind: kind, Conns: conns, Rate: 2_000, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	go func() {
		select {
		case <-enough:
		case <-ctx.Done():
			t.Error("the attack did not get far enough in time")
		}
		cancel()
	}()
	counts, err := a.Run(ctx)
	if err != nil || counts.Failed > 0 {
		t.Fatalf("%+v, %v", counts, err)
	}
	return counts
}

// upgraded answers the opening handshake and returns what reads the rest.
func upgraded(c net.Conn) (*bufio.Reader, *http.Request) {
	in := bufio.NewReader(c)
	r, err := http.ReadRequest(in)
	if err != nil {
		return nil, nil
	}
	accept := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "+
		base64.StdEncoding.EncodeToString(accept[:])+"\r\n\r\n")
	return in, r
}

func TestASlowHeadComesByteByByteAndNeverEnds(t *testing.T) {
	enough := make(chan struct{})
	var once sync.Once
	target := victim(t, func(c net.Conn) {
		once.Do(func() { // it dials again when this one ends
			got := make([]byte, len(headStart)+3*len(headLine))
			_, err := io.ReadFull(c, got)
			if want := headStart + strings.Repeat(headLine, 3); err != nil || string(got) != want {
				t.Errorf("got %q, %v", got, err)
			}
			close(enough)
		})
	})
	if counts := attack(t, target, SlowHeads, 1, enough); counts.Upgraded != 0 || counts.SentBytes < 100 {
		t.Errorf("got %+v", counts)
	}
}

func TestAConnectionThatTheServerEndsIsDialledAgain(t *testing.T) {
	enough := make(chan struct{})
	var ends atomic.Int32
	target := victim(t, func(c net.Conn) {
		if in, _ := upgraded(c); in == nil {
			return
		}
		c.Write([]byte{fin | opClose, 2, 1008 >> 8, 1008 & 0xff})
		if ends.Add(1) == 3 {
			close(enough)
		}
	})
	counts := attack(t, target, SlowFrames, 1, enough)
	if counts.Dialled < 3 || counts.Ended < 2 || counts.Answers["HTTP 101"] < 2 {
		t.Errorf("got %+v", counts)
	}
}

func TestAHandshakeThatIsRefusedIsCountedByItsStatusAndTriedAgain(t *testing.T) {
	enough := make(chan struct{})
	var refused atomic.Int32
	target := victim(t, func(c net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 503 Service Unavailable\r\n\r\n")
		if refused.Add(1) == 3 {
			close(enough)
		}
	})
	if counts := attack(t, target, Pings, 1, enough); counts.Answers["HTTP 503"] < 2 || counts.Ended < 2 || counts.Upgraded != 0 {
		t.Errorf("got %+v", counts)
	}
}

// TestFramesAreThoseOfAnotherImplementation has it take the flood of each kind
// that is in order.
func TestFramesAreThoseOfAnotherImplementation(t *testing.T) {
	for kind, want := range map[string]string{
		Empty:     "",
		Fragments: strings.Repeat("a", inMessage),
		Churn:     `{"event":"hello"}`,
	} {
		t.Run(kind, func(t *testing.T) {
			enough := make(chan struct{})
			var once sync.Once
			target := victim(t, func(c net.Conn) {
				if _, err := ws.Upgrade(c); err != nil {
					return // the attacker has left already
				}
				data, _, err := wsutil.ReadClientData(c)
				if err != nil {
					return // it left, as churn does
				}
				once.Do(func() {
					if string(data) != want {
						t.Errorf("got %.80q of %d bytes", data, len(data))
					}
					close(enough)
				})
			})
			if counts := attack(t, target, kind, 2, enough); counts.Upgraded == 0 || counts.Sent == 0 {
				t.Errorf("got %+v", counts)
			}
		})
	}
}

func TestForWhoHasVanishedNothingArrives(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dial := func() (fd int, peer net.Conn) {
		fd, err := sock.Dial(netip.MustParseAddrPort(l.Addr().String()), netip.Addr{}, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { sock.HangUp(fd) })
		if peer, err = l.Accept(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { peer.Close() })
		return fd, peer
	}
	gone, peerOfGone := dial()
	here, peerOfHere := dial()
	if err := ignoreAll(gone); err != nil {
		t.Fatal(err)
	}
	io.WriteString(peerOfGone, "hello")
	io.WriteString(peerOfHere, "hello")
	p, err := sock.NewPoller()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Add(here, 0, unix.EPOLLIN); err != nil {
		t.Fatal(err)
	}
	if events, err := p.Wait(10 * time.Minute); err != nil || len(events) != 1 {
		t.Fatalf("%v, %v", events, err)
	}
	if n, err := sock.Read(gone, make([]byte, 8)); !sock.WouldBlock(err) {
		t.Errorf("%d bytes arrived, %v", n, err)
	}
}

func TestEveryKindHasItsWayThroughEveryMove(t *testing.T) {
	for _, name := range Kinds() {
		k, err := kindOf(name)
		if err != nil {
			t.Fatal(err)
		}
		rand := rand.New(rand.NewPCG(1, 2))
		for variant := range k.variants {
			acts := k.bare(variant) || name == Silent
			for n := range 40 {
				m := k.move(turn{variant: variant, n: n, rand: rand})
				acts = acts || len(m.send) > 0 || m.then != stay
			}
			if !acts {
				t.Errorf("%s, variant %d, does nothing at all", name, variant)
			}
		}
	}
}

func TestUsersSayWhetherTheyWantReplies(t *testing.T) {
	if UserOf(Resets) != "loud-resets" || UserOf(Empty) != "mute-empty" {
		t.Errorf("%s, %s", UserOf(Resets), UserOf(Empty))
	}
	enough := make(chan struct{})
	var once sync.Once
	target := victim(t, func(c net.Conn) {
		if _, r := upgraded(c); r != nil && r.Header.Get("X-Bfl-User") == "mute-pings" {
			once.Do(func() { close(enough) })
		}
	})
	attack(t, target, Pings, 1, enough)
}

func TestAnAttackThatCannotBeIsRefused(t *testing.T) {
	target := netip.MustParseAddrPort("127.0.0.1:1")
	for _, cfg := range []Config{
		{Target: target, Kind: "nonsense", Conns: 1, Rate: 1}, {Target: target, Kind: Pings, Rate: 1},
		{Target: target, Kind: Pings, Conns: 1}, {Kind: Pings, Conns: 1, Rate: 1},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
}
