package chaos

import (
	"fmt"
	"time"
)

// Bounds are those of sessions, and what the gateway counted.
type Bounds struct {
	ResumeFor    time.Duration // --resume-for
	ResumeBuffer int           // --resume-buffer

	Resumed, Overruns int // by the gateway's count
	Missed            int // clients that came back and got a new session, by its count
	Forged            int // of these, whose token was not one of its own
}

// Resumptions are what AuditSessions finds.
type Resumptions struct {
	Sessions int
	Resumed  int // times that a session went on
	Expired  int // sessions that were over as their clients came back too late
	Overrun  int // that were, as more had been sent to them than is kept
	Ended    int // that were, as they had been closed
	Unheard  int // handshakes without an answer
	Broken   []string
}

// AuditSessions looks at what became of sessions whose connections were lost. One that did
// not go on needs a reason: its client was away for as long as --resume-for, or had been sent
// more than --resume-buffer that it had not acknowledged, or it was about to be closed.
func AuditSessions(clients []Client, senders []*Sender, b Bounds) Resumptions {
	a := &sessionAudit{Bounds: b, senders: senders}
	for i := range clients {
		c := &clients[i]
		switch {
		case c.End == Unheard:
			a.Unheard++
			continue
		case c.Conn != "":
			a.Sessions++
			a.Resumptions.Resumed += c.Resumes
		}
		if !c.Over.IsZero() {
			a.over(c)
		}
	}
	lost := a.Expired + a.Overrun + a.Ended
	switch {
	case b.Forged > 0:
		a.say("the gateway did not know %d tokens, and all were its own", b.Forged)
	case b.Missed < lost || b.Missed > lost+a.Unheard:
		a.say("the gateway counts %d clients that came back to no session; %d know of it, and %d handshakes had no answer", b.Missed, lost, a.Unheard)
	case b.Resumed < a.Resumptions.Resumed || b.Resumed > a.Resumptions.Resumed+a.Unheard:
		a.say("the gateway counts %d sessions that went on; clients know of %d, and %d handshakes had no answer", b.Resumed, a.Resumptions.Resumed, a.Unheard)
	case a.Overrun > b.Overruns:
		a.say("%d sessions were lost that only --resume-buffer can have ended, and the gateway counts %d overruns", a.Overrun, b.Overruns)
	}
	if a.silenced > 0 {
		a.Broken = append(a.Broken, fmt.Sprintf("and %d more", a.silenced))
	}
	return a.Resumptions
}

type sessionAudit struct {
	Resumptions
	Bounds
	senders  []*Sender
	silenced int
}

func (a *sessionAudit) say(format string, args ...any) {
	if len(a.Broken) == mostBroken {
		a.silenced++
		return
	}
	a.Broken = append(a.Broken, fmt.Sprintf(format, args...))
}

// over looks for the reason of a session that was over.
func (a *sessionAudit) over(c *Client) {
	switch waiting := a.waiting(c); {
	case c.Closing:
		a.Ended++
	case c.Away >= a.ResumeFor:
		a.Expired++
	case waiting > a.ResumeBuffer:
		a.Overrun++
	default:
		a.Overrun++ // if anything
		a.say("%s lost the session %s after %v at the most, with %d bytes to be kept for it at the most", c.User, c.Conn, c.Away.Round(time.Millisecond), waiting)
	}
}

// waiting is how much the gateway can have had to keep for a session at its end, at the
// most: what its client got and may not have acknowledged, and what it did not get.
func (a *sessionAudit) waiting(c *Client) (bytes int) {
	heard := make(map[Heard]bool, len(c.Heard))
	for _, h := range c.Heard {
		heard[h] = true
	}
	for _, s := range a.senders {
		for n := range s.Sends {
			one := &s.Sends[n]
			if one.For(c.User) && one.Began.After(c.Opened) && one.Began.Before(c.Over) && !heard[Heard{s.ID, n}] {
				bytes += one.Size + keptOverhead
			}
		}
	}
	const reply = 100 + keptOverhead
	return bytes + c.Unsure + (c.Sent+1-len(c.Replies))*reply
}
