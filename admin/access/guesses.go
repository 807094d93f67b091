package access

import (
	"container/list"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// How wrong tokens are answered.
const (
	firstDelay    = 50 * time.Millisecond // of a peer's first wrong token; each further one doubles it
	longestDelay  = 5 * time.Second       // less than the shortest timeout of usual clients, ws-gateway's own included
	guessesForget = 15 * time.Minute      // without a wrong token, until a peer begins anew
	rightFor      = time.Hour             // after the right token, while all of a peer's tokens are looked at
	maxGuessers   = 4096                  // peers that are remembered; one more replaces the one that was silent for longest
	maxWaiting    = 64                    // answers held back at a time, a small part of all connections
	maxPeerWaits  = 4                     // of these, for one peer

	guessLogEvery = time.Minute // between a peer's log lines
	guessLogLines = 10          // of all peers, in that time
)

// guesses slows down peers that try out tokens:
//
//   - A wrong token is answered late, and the next one later. While the answer to a
//     remote peer is held back, its other tokens are not looked at but get 429 at once,
//     so many connections can try no more tokens than one.
//   - If the right token has come from that address lately, all its tokens are looked
//     at: others behind the same NAT must not lock the owner out.
//   - On this host the app has the same address as everybody whose requests a proxy
//     passes on. There every token is looked at, and the right one is served at once,
//     whatever others try.
//   - While an answer is held back it keeps its connection and that one's goroutine. At
//     most maxWaiting wait; the others get 429 at once.
type guesses struct {
	// Static after construction.
	log  zerolog.Logger
	now  func() time.Time
	wait func(time.Duration) // Config.Wait

	wrong     atomic.Uint64
	throttled atomic.Uint64 // answered with 429
	known     atomic.Int64  // len(peers), so that nobody takes the lock while nobody guesses

	mu      sync.Mutex // guards following
	waiting int
	peers   map[netip.Prefix]*list.Element // of *guesser
	recent  list.List                      // the same, ordered by their last wrong token, newest first
	lines   int                            // logged since linesFrom
	from    time.Time
	unnamed int // wrong tokens of peers that were not logged since then
}

// guesser is a peer that has sent a wrong token.
type guesser struct {
	peer    Peer
	wrong   int       // tokens in a row, without a pause of guessesForget
	last    time.Time // of them
	until   time.Time // when the answer to it is due
	right   time.Time // when the peer last had the right token, since its first wrong one
	waiting int       // answers to it that are held back
	logged  time.Time
	quiet   int // wrong tokens since then
}

func newGuesses(log zerolog.Logger, wait func(time.Duration)) *guesses {
	return &guesses{log: log, now: time.Now, wait: wait, peers: make(map[netip.Prefix]*list.Element)}
}

// due returns in what time tokens of the peer are looked at again; 0 means now.
func (g *guesses) due(peer Peer) (wait time.Duration) {
	g.of(peer, func(p *guesser) {
		if now := g.now(); now.Sub(p.right) > rightFor {
			wait = max(0, p.until.Sub(now))
		}
	})
	return wait
}

// rightToken notes that a peer had the right one.
func (g *guesses) rightToken(peer Peer) {
	g.of(peer, func(p *guesser) { p.right = g.now() })
}

// of calls f for the peer, with mu held, if it has sent a wrong token.
func (g *guesses) of(peer Peer, f func(*guesser)) {
	if g.known.Load() == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if e := g.peers[peer.Network]; e != nil {
		f(e.Value.(*guesser))
	}
}

// slowDown notes a wrong token and waits until its answer is due, then returns 0. If too
// many wait already it returns at once, with the time until then.
func (g *guesses) slowDown(peer Peer) time.Duration {
	g.wrong.Add(1)
	g.mu.Lock()
	p := g.note(peer)
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
func (g *guesses) note(peer Peer) *guesser {
	now := g.now()
	e := g.peers[peer.Network]
	if e == nil {
		if g.recent.Len() >= maxGuessers {
			silent := g.recent.Remove(g.recent.Back()).(*guesser)
			delete(g.peers, silent.peer.Network)
		}
		e = g.recent.PushFront(&guesser{peer: peer})
		g.peers[peer.Network] = e
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

// delayOf is the delay of the answer to the nth wrong token in a row.
func delayOf(n int) time.Duration {
	if n > 16 {
		return longestDelay
	}
	return min(longestDelay, firstDelay<<(n-1))
}

// report logs a peer's wrong token, unless it has just logged another of this peer, or
// too many of others. mu is held.
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
	e := g.log.Warn().Str("peer", p.peer.String()).Int("times", p.quiet)
	if g.unnamed > 0 {
		e = e.Int("times_by_others", g.unnamed)
	}
	e.Msg("wrong admin token: whoever this is does not have it, or has an old one")
	g.lines++
	p.logged, p.quiet, g.unnamed = p.last, 0, 0
}

// Guesses is what has become of wrong tokens.
type Guesses struct {
	Wrong     uint64 // tokens that were looked at
	Throttled uint64 // requests answered with 429
	Waiting   int    // answers that are held back
}

// Guesses returns the counts.
func (r *Rules) Guesses() Guesses { return r.guesses.counts() }

func (g *guesses) counts() Guesses {
	g.mu.Lock()
	defer g.mu.Unlock()
	return Guesses{Wrong: g.wrong.Load(), Throttled: g.throttled.Load(), Waiting: g.waiting}
}
