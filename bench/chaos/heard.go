package chaos

import (
	"fmt"
	"slices"
	"time"
)

// Instance is one of several gateways, as its clients know it.
type Instance struct {
	Name    string
	Clients []Client
}

// Deliveries are what AuditSends finds.
type Deliveries struct {
	Sends    int
	Received int // by clients, of all senders
	Remote   int // of these, of senders at other instances
	Lost     int // that should have been received, and were not
	Excused  int // that an answer said might not be
	Twice    int
	Early    int // before one that was sent before
	Broken   []string
}

// AuditSends holds what clients were sent against what the senders have sent: nothing
// comes twice, or before what the same sender has sent before, or to whom it is not for.
// What a client should have been sent and was not is lost, if something later came from
// the same sender: only then must it have come. counted is how many messages the
// instances say are lost.
func AuditSends(senders []*Sender, instances []Instance, counted int) Deliveries {
	a := &sendAudit{senders: senders}
	for _, s := range senders {
		a.Sends += len(s.Sends)
		index := map[string][]int{}
		for n := range s.Sends {
			for _, u := range s.Sends[n].Users {
				index[u] = append(index[u], n)
			}
			if len(s.Sends[n].Users) == 0 {
				index[""] = append(index[""], n)
			}
		}
		a.index = append(a.index, index)
	}
	for i := range instances {
		for j := range instances[i].Clients {
			a.client(&instances[i], &instances[i].Clients[j])
		}
	}
	if a.Lost > counted {
		a.say("%d messages were lost, and %d are counted as lost; the first: %s", a.Lost, counted, a.first)
	}
	if a.silenced > 0 {
		a.Broken = append(a.Broken, fmt.Sprintf("and %d more", a.silenced))
	}
	return a.Deliveries
}

type sendAudit struct {
	Deliveries
	senders  []*Sender
	index    []map[string][]int // of each sender: its messages to each user, to everybody under ""
	first    string             // that was lost
	silenced int
}

func (a *sendAudit) say(format string, args ...any) {
	if len(a.Broken) == mostBroken {
		a.silenced++
		return
	}
	a.Broken = append(a.Broken, fmt.Sprintf(format, args...))
}

func (a *sendAudit) client(at *Instance, c *Client) {
	last := make([]int, len(a.senders)) // heard of each sender, and 1 more
	heard := make([]map[int]bool, len(a.senders))
	for _, h := range c.Heard {
		if h.Sender < 0 || h.Sender >= len(a.senders) || h.Number < 0 || h.Number >= len(a.senders[h.Sender].Sends) {
			a.say("%s at %s was sent message %d of sender %d, which nobody has sent", c.User, at.Name, h.Number, h.Sender)
			continue
		}
		s := a.senders[h.Sender]
		a.Received++
		if s.Instance != at.Name {
			a.Remote++
		}
		switch {
		case heard[h.Sender][h.Number]:
			a.Twice++
			a.say("%s at %s was sent message %d of sender %d (%s) twice", c.User, at.Name, h.Number, s.ID, s.Instance)
		case h.Number < last[h.Sender]:
			a.Early++
			a.say("%s at %s was sent message %d of sender %d (%s) after message %d", c.User, at.Name, h.Number, s.ID, s.Instance, last[h.Sender]-1)
		case !s.Sends[h.Number].For(c.User):
			a.say("%s at %s was sent message %d of sender %d (%s), which was for others", c.User, at.Name, h.Number, s.ID, s.Instance)
		}
		if heard[h.Sender] == nil {
			heard[h.Sender] = map[int]bool{}
		}
		heard[h.Sender][h.Number] = true
		last[h.Sender] = max(last[h.Sender], h.Number+1)
	}
	for i := range a.senders {
		for _, to := range [...]string{c.User, ""} {
			for _, n := range a.index[i][to] {
				if n < last[i] && !heard[i][n] {
					a.absent(at, c, i, n, last[i]-1)
				}
			}
		}
	}
}

// anybody is what an answer names if instances may be missing that are not known.
const anybody = "*"

// absent looks at a message that a client was not sent, although it was sent a later one.
func (a *sendAudit) absent(at *Instance, c *Client, sender, n, later int) {
	s := a.senders[sender]
	one := &s.Sends[n]
	if !one.Began.After(c.There) {
		return // it was not connected yet, as far as anybody knows
	}
	if one.Failed || slices.Contains(one.Missing, at.Name) || slices.Contains(one.Missing, anybody) {
		a.Excused++
		return
	}
	if s.Instance == at.Name {
		a.say("%s at %s was not sent message %d of sender %d of the same instance, and was sent message %d", c.User, at.Name, n, s.ID, later)
		return
	}
	if a.Lost++; a.first == "" {
		a.first = fmt.Sprintf("message %d of sender %d (%s) to %s at %s, which had been there for %v and was sent message %d",
			n, s.ID, s.Instance, c.User, at.Name, one.Began.Sub(c.There).Round(time.Millisecond), later)
	}
}
