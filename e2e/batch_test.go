package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ws-gateway/e2e/harness"
)

// ledger is what an app has taken, by connection, each event once and in order.
type ledger struct {
	t     *testing.T
	again bool                 // an event that was taken may come again: attempts time out
	taken map[string][]element // by user
}

func (l *ledger) take(e element) {
	seen := l.taken[e.User]
	if len(seen) > 0 {
		// Numbers that are left out have failed for good.
		var last, n int
		_, _ = fmt.Sscanf(seen[len(seen)-1].RequestID[len(e.Conn):], "-%d", &last)
		_, _ = fmt.Sscanf(e.RequestID[len(e.Conn):], "-%d", &n)
		if n <= last {
			if !l.again || !slices.ContainsFunc(seen, func(s element) bool { return s.RequestID == e.RequestID }) {
				l.t.Errorf("%s came again, or late", e.RequestID)
			}
			return
		}
	}
	l.taken[e.User] = append(seen, e)
}

func (l *ledger) total() (n int) {
	for _, events := range l.taken {
		n += len(events)
	}
	return n
}

func TestOneClientsMessageCostsNobodyElseAnEvent(t *testing.T) {
	t.Parallel()
	const poison = `"poison"`
	never := make(chan struct{})
	for name, no := range map[string]reply{
		"refused":     {status: 422},
		"unavailable": {status: 500},
		"hanging":     {hold: never},
	} {
		args := []string{"--callback-batch=200", "--callback-linger=100ms", "--callback-retry-for=30s"}
		if no.hold != nil {
			args = append(args, "--callback-timeout=2s")
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const clients, messages = 20, 40
			books := ledger{t: t, again: no.hold != nil, taken: map[string][]element{}} // on a busy machine others are not answered within 2 s either
			file := filepath.Join(t.TempDir(), "dead.jsonl")
			app := startPostApp(t, func(p *posted) reply {
				if slices.ContainsFunc(p.events, func(e element) bool { return string(e.Data) == poison }) {
					return no
				}
				for _, e := range p.events {
					books.take(e)
				}
				return reply{}
			})
			g := app.gateway(t, append(args, "--dead-letter", file)...)
			for n := range clients {
				c := g.Dial(t, fmt.Sprint("user", n))
				for i := range messages {
					c.Send(numbered(i))
					if n == 7 && i == 20 {
						c.Send(poison)
					}
				}
				c.Close(1000, "")
			}
			app.awaitThat(t, "everybody's events", func() bool { return books.total() == clients*(messages+2) })
			harness.Poll(t, "the dead letter", func() bool {
				letters, err := os.ReadFile(file)
				return err == nil && strings.Count(string(letters), "\n") == 1 && strings.Contains(string(letters), `"user_name":"user7"`) && strings.Contains(string(letters), poison)
			})
			g.awaitMetric(t, "ws_gateway_batches_divided_total", 1)
			g.logged(t, 1, "it is divided until")
			app.Mu.Lock()
			defer app.Mu.Unlock()
			for user, events := range books.taken {
				for i, e := range events[1 : len(events)-1] {
					if !e.is(user, numbered(i)) {
						t.Errorf("%s: event %d is %s", user, i, e.Data)
					}
				}
			}
		})
	}
}

func TestAnAppThatTakesPartOfABatchGetsTheRestAgain(t *testing.T) {
	t.Parallel()
	const clients, messages = 10, 30
	books := ledger{t: t, taken: map[string][]element{}}
	refusals, seen := 0, map[string]int{}
	app := startPostApp(t, func(p *posted) reply {
		var failed []string
		held := map[string]bool{}
		for _, e := range p.events {
			seen[e.RequestID]++
			switch {
			case held[e.Conn]: // behind one that is to come again
			case e.Action == "message" && string(e.Data) == numbered(13):
				refusals++
				failed = append(failed, `{"request_id":"`+e.RequestID+`","retry":false}`)
			case e.Action == "message" && len(e.Data)%2 == 0 && seen[e.RequestID] < 3:
				held[e.Conn] = true
				failed = append(failed, `{"request_id":"`+e.RequestID+`"}`)
			default:
				books.take(e)
			}
		}
		return reply{header: map[string]string{"X-Ws-Batch": "partial"}, body: `{"failed":[` + strings.Join(failed, ",") + `]}`}
	})
	g := app.gateway(t, "--callback-batch=50", "--callback-linger=20ms")
	for n := range clients {
		c := g.Dial(t, fmt.Sprint("user", n))
		for i := range messages {
			c.Send(numbered(i))
		}
		c.Close(1000, "")
	}
	app.awaitThat(t, "everybody's events", func() bool { return books.total() == clients*(messages+1) })
	if refusals != clients {
		t.Errorf("%d were refused, and some again", refusals)
	}
	g.awaitMetric(t, `ws_gateway_callbacks_failed_total{action="message"}`, clients)
	g.awaitMetric(t, "ws_gateway_batches_partial_total", 1)
}
