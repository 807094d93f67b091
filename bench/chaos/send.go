package chaos

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Send is one call of the send API by a Sender.
type Send struct {
	Users   []string // whom it is for; none: everybody
	Began   time.Time
	Size    int      // of the message, in bytes
	Missing []string // instances that the answer names
	Failed  bool     // there was no answer: who has got it is unknown
}

// For reports whether the message is for a user.
func (s *Send) For(user string) bool { return len(s.Users) == 0 || slices.Contains(s.Users, user) }

// Sender is a caller of one instance's send API. Its messages are numbered from 0, and
// each is sent after the one before it has been answered.
type Sender struct {
	ID       int
	Instance string
	API      netip.AddrPort
	Seed     uint64
	Pause    time.Duration // between two calls, at the most
	Present  *Present      // who may be sent something

	Sends []Send   // once Run has ended
	Odd   []string // answers that no gateway should give

	client http.Client
}

// Run sends until ctx is done.
func (s *Sender) Run(ctx context.Context) {
	s.client.Timeout = patience
	defer s.client.CloseIdleConnections()
	random := rand.New(rand.NewPCG(s.Seed, uint64(s.ID)))
	for ctx.Err() == nil {
		if users := s.Present.pick(random, 1+random.IntN(3)); len(users) > 0 {
			s.send(users, false)
		}
		pass(ctx, between(random, 0, s.Pause))
	}
}

// Finish sends a message to everybody, and returns when every loop of every instance has
// been through.
func (s *Sender) Finish() { s.send(nil, true) }

func (s *Sender) send(users []string, report bool) {
	message := Message(s.ID, len(s.Sends))
	to := map[string]any{"payload": json.RawMessage(message), "report": report}
	if users == nil {
		to["all"] = true
	} else {
		to["users"] = users
	}
	body, err := json.Marshal(to)
	if err != nil {
		s.odd("%v", err)
		return
	}
	one := Send{Users: users, Began: time.Now(), Size: len(message)}
	var answer struct {
		Code    int
		Missing []string
	}
	text, err := s.call("/tapr/ws/conn/send", body)
	if err == nil {
		err = json.Unmarshal(text, &answer)
	}
	switch {
	case err != nil:
		s.odd("message %d of sender %d: %v", len(s.Sends), s.ID, err)
	case answer.Code != 0 && len(answer.Missing) == 0:
		s.odd("message %d of sender %d was answered %.200s", len(s.Sends), s.ID, text)
	}
	one.Missing, one.Failed = answer.Missing, err != nil
	s.Sends = append(s.Sends, one)
}

func (s *Sender) odd(format string, args ...any) {
	if len(s.Odd) < mostBroken {
		s.Odd = append(s.Odd, fmt.Sprintf(format, args...))
	}
}

func (s *Sender) call(path string, body []byte) ([]byte, error) {
	answer, err := s.client.Post("http://"+s.API.String()+path, "application/json", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	return io.ReadAll(answer.Body)
}

// Message is number n of a sender. What is in it follows from the two, so that whoever
// gets it knows every byte. Most are short, a few are longer than a packet of NATS.
func Message(sender, n int) []byte {
	var of [16]byte
	binary.BigEndian.PutUint64(of[:], uint64(sender))
	binary.BigEndian.PutUint64(of[8:], uint64(n))
	h := fnv.New64a()
	h.Write(of[:])
	sum := h.Sum64()
	length := sum % 200
	switch {
	case sum>>8%400 == 0:
		length = 600<<10 + sum>>16%(200<<10)
	case sum>>8%20 == 0:
		length = 20_000 + sum>>16%40_000
	}
	return fmt.Appendf(nil, `{"sender":%d,"number":%d,"pad":%q}`, sender, n, strings.Repeat("x", int(length)))
}

// Heard is a message of a Sender that a client has got.
type Heard struct{ Sender, Number int }

// hear reads a message of a sender, every byte of which must be right.
func hear(payload []byte) (h Heard, err error) {
	var head struct{ Sender, Number int }
	if json.Unmarshal(payload, &head) != nil || !bytes.Equal(payload, Message(head.Sender, head.Number)) {
		return h, fmt.Errorf("the gateway sent %d bytes that nobody has sent: %.80q", len(payload), payload)
	}
	return Heard(head), nil
}

// Present is who is connected, as the clients see it. Each user is there as often as it
// has connections.
type Present struct {
	mu    sync.Mutex
	users []string
	where map[string][]int // indices in users
}

// came and left say that a connection has opened, and that it is about to end.
func (p *Present) came(user string) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.where == nil {
		p.where = map[string][]int{}
	}
	p.where[user] = append(p.where[user], len(p.users))
	p.users = append(p.users, user)
}

func (p *Present) left(user string) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.where[user]
	i := at[len(at)-1]
	if p.where[user] = at[:len(at)-1]; len(at) == 1 {
		delete(p.where, user)
	}
	last := len(p.users) - 1
	if moved := p.users[last]; i < last {
		p.users[i] = moved
		indices := p.where[moved]
		indices[slices.Index(indices, last)] = i
	}
	p.users = p.users[:last]
}

// Len is how many connections there are.
func (p *Present) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.users)
}

// Users is how many users they have.
func (p *Present) Users() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.where)
}

// pick returns up to n different users. Every second is one of those that came last: a
// connection that has just opened is the hardest to find.
func (p *Present) pick(random *rand.Rand, n int) (users []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range n {
		if len(p.users) == 0 {
			return users
		}
		i := random.IntN(len(p.users))
		if random.IntN(2) == 0 {
			i = len(p.users) - 1 - random.IntN(min(4, len(p.users)))
		}
		if u := p.users[i]; !slices.Contains(users, u) {
			users = append(users, u)
		}
	}
	return users
}
