package access

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"
)

// Audience is for whom a route is.
type Audience uint8

const (
	Managers  Audience = iota // those whom the rules let in
	Browsers                  // the same, but the token is not asked for: it has no data, and is the page that asks for one
	Everybody                 // no rule applies: an orchestrator probes from the node's address with any Host, and learns nothing
	Nobody                    // there is no such route
)

// Refusal is an HTTP status above 400 and one line for the caller. The zero value refuses
// nothing.
type Refusal struct {
	Status int
	Why    string
}

// Config of Rules.
type Config struct {
	UserHeader string // a proxy adds it, with the user's name
	Token      string // "": peers on this host are trusted under the rules above
	OwnAddress bool   // management does not share the clients' port

	// Wait holds back the answer to a wrong token; it returns early at shutdown.
	Wait func(time.Duration)
	Now  func() time.Time // nil: time.Now
	Log  zerolog.Logger
}

// Rules decide who may use the management API. They may be used by many goroutines.
type Rules struct {
	identity atomic.Pointer[string] // the user header
	token    atomic.Pointer[token]  // nil: there is none
	own      bool                   // management has an address of its own
	guesses  *guesses
}

// token is the digest of an admin token, so that what is compared has one length.
type token [sha256.Size]byte

// New returns the rules that cfg asks for.
func New(cfg Config) (*Rules, error) {
	r := &Rules{own: cfg.OwnAddress, guesses: newGuesses(cfg.Log, cfg.Wait)}
	if cfg.Now != nil {
		r.guesses.now = cfg.Now
	}
	apply, err := r.Reload(cfg.UserHeader, cfg.Token)
	if err != nil {
		return nil, err
	}
	apply()
	return r, nil
}

// Reload checks another user header and another token, and returns what puts them into
// force. Apply reports whether the token is another one than before; calls of it must not
// overlap.
func (r *Rules) Reload(userHeader, text string) (apply func() (otherToken bool), err error) {
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("admin: the token must be printable ASCII without blanks")
	}
	var now *token
	if text != "" {
		digest := token(sha256.Sum256([]byte(text)))
		now = &digest
	}
	return func() bool {
		r.identity.Store(&userHeader)
		before := r.token.Swap(now)
		return before != now && (before == nil || now == nil || *before != *now)
	}, nil
}

// HasToken reports whether there is an admin token.
func (r *Rules) HasToken() bool { return r.token.Load() != nil }

// Admit applies the rules to a request's head, and slows down peers that try out tokens:
// it may wait before it refuses. If retry is above 0, the peer may try again after it.
func (r *Rules) Admit(h *fasthttp.RequestHeader, peer Peer, who Audience) (no Refusal, retry time.Duration) {
	guess := who != Browsers && r.HasToken() && len(bearer(h)) > 0
	if guess && peer.Place == Remote {
		if wait := r.guesses.due(peer); wait > 0 {
			r.guesses.throttled.Add(1)
			return tooManyGuesses(wait)
		}
	}
	no = r.Check(h, peer.Place, who)
	switch {
	case !guess:
	case no.Status == 0:
		r.guesses.rightToken(peer)
	default:
		if wait := r.guesses.slowDown(peer); wait > 0 {
			return tooManyGuesses(wait)
		}
	}
	return no, 0
}

func tooManyGuesses(wait time.Duration) (Refusal, time.Duration) {
	wait = (wait + time.Second - 1).Truncate(time.Second)
	return Refusal{fasthttp.StatusTooManyRequests, "too many wrong admin tokens from this address: try again in " + strconv.Itoa(int(wait/time.Second)) + " s"}, wait
}

const (
	orToken = ", or start the gateway with an admin token and send it as Authorization: Bearer"
	orOwn   = ", or give management an address of its own (--admin-listen)" + orToken
)

// Check is Admit without the slowing down: it never waits. On an address of management's
// own there are no WebSockets that a proxy would be set up for, so an app whose HTTP
// client looks like such a proxy is let in there.
func (r *Rules) Check(h *fasthttp.RequestHeader, from Place, who Audience) Refusal {
	if want := r.token.Load(); want != nil {
		if who != Browsers && !want.shownBy(h) {
			return Refusal{fasthttp.StatusUnauthorized, "admin token missing or wrong: send it as Authorization: Bearer"}
		}
		return Refusal{}
	}
	if from == Remote {
		return Refusal{fasthttp.StatusForbidden, "management is for this host only: call it over loopback" + orToken}
	}
	offer := !h.IsHTTP11()
	for name, value := range h.All() {
		offer = offer || named(name, fasthttp.HeaderConnection) || named(name, fasthttp.HeaderUpgrade)
		if shown := r.passedOn(name); shown != "" {
			return Refusal{fasthttp.StatusForbidden, "header " + shown + " shows that a proxy passed this request on: call the gateway directly" + orToken}
		}
		if !ownPage(h, who, name, value) {
			return Refusal{fasthttp.StatusForbidden, "header " + string(name) + " shows that a web page sent this request: call the gateway from the app" + orToken}
		}
	}
	if from != Unix && hostOf(h) == foreignHost {
		return Refusal{fasthttp.StatusForbidden, "header Host is neither an IP address nor localhost: call the gateway by one of these" + orToken}
	}
	if who == Nobody && len(h.Peek("Sec-WebSocket-Key")) > 0 {
		return Refusal{} // a client that is told what is wrong with its path
	}
	if r.own || !offer {
		return Refusal{}
	}
	if shown := recipe(h); shown != "" {
		return Refusal{fasthttp.StatusForbidden, shown + " shows that a proxy passed this request on: call the gateway directly, with plain HTTP/1.1" + orOwn}
	}
	return Refusal{}
}

// CheckAuthority applies the rules to the authority of an absolute request target; nil
// means that there is none. It counts instead of the Host header (RFC 9112, 3.2.2), but
// whoever looked at the request before us may have gone by the header, so each of them
// must name this host. No page sends this form, and a request that claims to come from
// one is not taken for the console's.
func (r *Rules) CheckAuthority(authority []byte, h *fasthttp.RequestHeader, from Place) Refusal {
	if authority == nil || r.HasToken() {
		return Refusal{}
	}
	if from != Unix && hostKindOf(string(authority)) == foreignHost {
		return Refusal{fasthttp.StatusForbidden, "the request target names a host that is neither an IP address nor localhost: call the gateway by one of these" + orToken}
	}
	if len(h.Peek(fasthttp.HeaderOrigin)) > 0 && !bytes.Equal(authority, h.Host()) {
		return Refusal{fasthttp.StatusForbidden, "header Origin shows that a web page sent this request: call the gateway from the app" + orToken}
	}
	return Refusal{}
}

// shownBy reports whether the request has the token. How long that takes does not depend
// on how much of it is right.
func (t *token) shownBy(h *fasthttp.RequestHeader) bool {
	sum := sha256.Sum256(bearer(h))
	return subtle.ConstantTimeCompare(sum[:], t[:]) == 1
}

// bearer returns the token that the request has, right or wrong; nil if it has none.
func bearer(h *fasthttp.RequestHeader) []byte {
	const scheme = "Bearer "
	value := h.Peek(fasthttp.HeaderAuthorization)
	if len(value) < len(scheme) || !strings.EqualFold(string(value[:len(scheme)]), scheme) {
		return nil
	}
	return value[len(scheme):]
}

// named compares header names, which are ASCII, without case.
func named(name []byte, known string) bool {
	return len(name) == len(known) && strings.EqualFold(string(name), known)
}
