package admin

import (
	"container/list"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"
)

// How wrong tokens are answered.
const (
	firstDelay    = 50 * time.Millisecond // of a peer's first wrong token; each further one doubles it
	longestDelay  = 5 * time.Second       // less than the shortest patience of usual clients, ws-gateway's own among them
	guessesForget = 15 * time.Minute      // without a wrong token, after which a peer begins anew
	rightFor      = time.Hour             // after the right token, for which all of a peer's are looked at
	maxGuessers   = 4096                  // peers that are remembered; one more takes the place of the one longest silent
	maxWaiting    = 64                    // answers that are held back at a time: a small part of the door's places
	maxPeerWaits  = 4                     // of these, for one peer on this host

	guessLogEvery = time.Minute // for a peer, between lines of the log
	guessLogLines = 10          // for all peers, within that time
)

// guesses slows down those who try out tokens. What it does is for the peer, which
// is an address, or an IPv6 network of 64 bits:
//
//   - A wrong token is answered late, and the next one later. While the answer to
//     one is due to a peer elsewhere, its other tokens are not looked at: they get
//     429 at once. So many connections try no more than one does.
//   - Unless the right token has come from that address lately: then others who share
//     it, behind a NAT, must not lock its owner out, and all tokens are looked at.
//   - On this host the app and those whom a proxy passes on have one address.
//     There every token is looked at and a right one is served at once, whatever
//     others try.
//   - Who waits has its connection's own goroutine and place in the door. Those for
//     whom there is no place among maxWaiting are told 429 at once.
type guesses struct {
	// Static after construction.
	log  zerolog.Logger
	now  func() time.Time
	wait func(time.Duration) // ends early at shutdown

	wrong     atomic.Uint64
	throttled atomic.Uint64 // answered with 429
	known     atomic.Int64  // len(peers), so that who tries nothing takes no lock

	mu      sync.Mutex // guards following
	waiting int
	peers   map[netip.Prefix]*list.Element // of *guesser
	recent  list.List                      // the same, last wrong token first
	lines   int                            // logged since linesFrom
	from    time.Time
	unnamed int // wrong tokens of peers that were not logged since then
}

// guesser is a peer that has sent a wrong token.
type guesser struct {
	peer    netip.Prefix
	wrong   int       // in a row without a pause of guessesForget
	last    time.Time // wrong token
	until   time.Time // when its answer is due
	right   time.Time // when it last had the right token, from its first wrong one on
	waiting int
	logged  time.Time
	quiet   int // wrong tokens since then
}

func newGuesses(log zerolog.Logger, closing <-chan struct{}) *guesses {
	return &guesses{log: log, now: time.Now, peers: make(map[netip.Prefix]*list.Element), wait: func(d time.Duration) {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-closing:
		}
	}}
}

// guesserOf is the key of a connection's peer; the zero value is the unix socket.
func guesserOf(addr net.Addr) netip.Prefix {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() && !ip.IsLoopback() {
		bits = 64
	}
	peer, _ := ip.Prefix(bits) // zero for an address that is none
	return peer
}

// admit applies the access rules to a request, and slows down who guesses.
func (s *Server) admit(ctx *fasthttp.RequestCtx, r *route) refusal {
	h, c := &ctx.Request.Header, callerOf(ctx)
	guess := r.who != browsers && s.HasToken() && len(bearer(h)) > 0
	if guess && c.from == remotePeer {
		if wait := s.guesses.due(c.RemoteAddr()); wait > 0 {
			s.guesses.throttled.Add(1)
			return tooManyGuesses(ctx, wait)
		}
	}
	no := s.guard.check(h, c.from, r)
	switch {
	case !guess:
	case no.status == 0:
		s.guesses.rightToken(c.RemoteAddr())
	default:
		if wait := s.guesses.slowDown(c.RemoteAddr()); wait > 0 {
			return tooManyGuesses(ctx, wait)
		}
	}
	return no
}

func tooManyGuesses(ctx *fasthttp.RequestCtx, wait time.Duration) refusal {
	seconds := strconv.Itoa(int((wait + time.Second - 1) / time.Second))
	ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, seconds)
	return refusal{fasthttp.StatusTooManyRequests, "too many wrong admin tokens from this address: try again in " + seconds + " s"}
}

// due returns how long it is until tokens of the peer are looked at again; 0 means
// now.
func (g *guesses) due(addr net.Addr) (wait time.Duration) {
	g.of(addr, func(p *guesser) {
		if now := g.now(); now.Sub(p.right) > rightFor {
			wait = max(0, p.until.Sub(now))
		}
	})
	return wait
}

// rightToken notes that a peer had the right one.
func (g *guesses) rightToken(addr net.Addr) {
	g.of(addr, func(p *guesser) { p.right = g.now() })
}

// of calls f for the peer, with mu held, if it has sent a wrong token.
func (g *guesses) of(addr net.Addr, f func(*guesser)) {
	if g.known.Load() == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if e := g.peers[guesserOf(addr)]; e != nil {
		f(e.Value.(*guesser))
	}
}

// slowDown notes a wrong token and returns 0 once its answer is due, or at once,
// with how long that would be, where nobody more can be kept waiting.
func (g *guesses) slowDown(addr net.Addr) time.Duration {
	g.wrong.Add(1)
	g.mu.Lock()
	p := g.note(guesserOf(addr))
	g.report(p)
	delay := p.until.Sub(p.last)
	if g.waiting >= maxWaiting || p.waiting >= maxPeerWaits {
		g.mu.Unlock()
		g.throttled.Add(1)
		return delay
	}
	g.waiting++
	p.waiting++
	g.mu.Unlock()
	g.wait(delay)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting--
	p.waiting--
	return 0
}

// note counts a wrong token of a peer. mu is held.
func (g *guesses) note(peer netip.Prefix) *guesser {
	now := g.now()
	e := g.peers[peer]
	if e == nil {
		if g.recent.Len() >= maxGuessers {
			silent := g.recent.Remove(g.recent.Back()).(*guesser)
			delete(g.peers, silent.peer)
		}
		e = g.recent.PushFront(&guesser{peer: peer})
		g.peers[peer] = e
		g.known.Store(int64(len(g.peers)))
	}
	g.recent.MoveToFront(e)
	p := e.Value.(*guesser)
	if now.Sub(p.last) > guessesForget {
		p.wrong = 0
	}
	p.wrong++
	p.last, p.until = now, now.Add(delayOf(p.wrong))
	return p
}

// delayOf is how late the nth wrong token in a row is answered.
func delayOf(n int) time.Duration {
	if n > 16 {
		return longestDelay
	}
	return min(longestDelay, firstDelay<<(n-1))
}

// report logs a peer's wrong token, unless it has just logged one of it, or of too
// many others. mu is held.
func (g *guesses) report(p *guesser) {
	p.quiet++
	if p.last.Sub(g.from) >= guessLogEvery {
		g.from, g.lines = p.last, 0
	}
	if p.last.Sub(p.logged) < guessLogEvery {
		return
	}
	if g.lines >= guessLogLines {
		g.unnamed++
		return
	}
	e := g.log.Warn().Str("peer", p.name()).Int("times", p.quiet)
	if g.unnamed > 0 {
		e = e.Int("times_by_others", g.unnamed)
	}
	e.Msg("wrong admin token: whoever this is does not have it, or has an old one")
	g.lines++
	p.logged, p.quiet, g.unnamed = p.last, 0, 0
}

// name is the peer in the log.
func (p *guesser) name() string {
	switch {
	case !p.peer.IsValid():
		return "unix socket"
	case p.peer.IsSingleIP():
		return p.peer.Addr().String()
	}
	return p.peer.String()
}

// held is how many answers are held back.
func (g *guesses) held() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting
}
