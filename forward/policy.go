package forward

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"ws-gateway/forward/callback"
)

// Outcome is how an attempt to deliver an event ended.
type Outcome uint8

const (
	Delivered        Outcome = iota // 2xx
	Rejected                        // a status that another attempt would not change, including redirects
	Unavailable                     // 408, 425, 429 or 5xx
	TimedOut                        // no answer within Config.Timeout
	Unreachable                     // no connection to the app
	Broken                          // the connection ended without an answer, or the answer was not HTTP
	Starved                         // the gateway has no descriptor or port left for a connection
	CutOff                          // ended by Drain
	SignatureRefused                // the app says that it does not accept the gateway's signature
	outcomes
)

// Outcomes is how many outcomes there are: Outcome(0) to Outcome(Outcomes-1).
const Outcomes = int(outcomes)

var outcomeNames = [outcomes]string{
	"delivered", "rejected", "unavailable", "timeout", "app unreachable", "connection broken",
	"gateway out of descriptors or ports", "gateway stopped", "signature refused",
}

// String returns the outcome's name in logs and dead letters.
func (o Outcome) String() string {
	if o < outcomes {
		return outcomeNames[o]
	}
	return "unknown"
}

// Label is String for a metric's label.
func (o Outcome) Label() string { return strings.ReplaceAll(o.String(), " ", "_") }

const statusTooEarly = 425 // RFC 8470

// classify says what an answer's status means for the attempt, or the error if there was
// no answer.
func classify(status int, err error) Outcome {
	if err != nil {
		return classifyError(err)
	}
	switch {
	case status >= 200 && status <= 299:
		return Delivered
	case status == fasthttp.StatusRequestTimeout, status == statusTooEarly,
		status == fasthttp.StatusTooManyRequests, status >= 500 && status <= 599:
		return Unavailable
	default:
		return Rejected
	}
}

func classifyError(err error) Outcome {
	if errors.Is(err, callback.ErrInterrupted) || errors.Is(err, context.Canceled) {
		return CutOff
	}
	var dial *callback.DialError
	if errors.As(err, &dial) {
		if callback.OutOfResources(err) {
			return Starved
		}
		return Unreachable
	}
	if callback.IsTimeout(err) {
		return TimedOut
	}
	return Broken
}

// blamesUs reports whether an answer that is not 2xx says that the mistake is the
// gateway's: X-Ws-Error: signature. Whatever its status, it says nothing about the event
// or the client, and the event is sent again.
func blamesUs(o Outcome, value []byte) bool {
	return (o == Rejected || o == Unavailable) && strings.EqualFold(string(value), "signature")
}

// retryable reports whether another attempt may end differently.
func (o Outcome) retryable() bool { return o != Delivered && o != Rejected }

const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// policy decides when to try again.
type policy struct {
	random   func() float64 // in [0, 1)
	deadline atomic.Int64   // an instant at which everything ends; 0: none
}

// backoff is how long to wait after so many attempts in a row have failed. It doubles from
// 200 ms to 5 s, with up to 50 % jitter, so that what failed together is not tried again
// together.
func (p *policy) backoff(attempts int) time.Duration {
	ceiling := maxBackoff
	if shift := attempts - 1; shift < 5 { // 200 ms << 5 is over maxBackoff
		ceiling = 2 * minBackoff << max(shift, 0)
	}
	return ceiling/2 + time.Duration(p.random()*float64(ceiling/2))
}

// retryAt returns when to attempt an event again. The last attempt falls on the end of
// the event's window; after that there is none.
func (p *policy) retryAt(now, window time.Duration, attempts int, retryAfter time.Duration) (due time.Duration, ok bool) {
	if now >= window {
		return 0, false
	}
	wait := p.backoff(attempts)
	if retryAfter > 0 {
		wait = retryAfter + time.Duration(p.random()*float64(minBackoff))
	}
	return p.beforeEnd(now, min(now+wait, window)), true
}

// beforeEnd moves due forward so that an event gets a few more attempts before the
// deadline: each falls on the middle of the time that is left.
func (p *policy) beforeEnd(now, due time.Duration) time.Duration {
	const tooLate = 2 * minBackoff // another attempt would not get far
	rest := time.Duration(p.deadline.Load()) - now
	if rest < tooLate {
		return due
	}
	return min(due, now+rest/2)
}
