package chaos

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// event is number n of connection conn; its open is 1, and last is its close.
func event(conn string, n, last int) Event {
	e := Event{ID: fmt.Sprintf("%s-%d", conn, n), Conn: conn, User: "user of " + conn, Action: "message", Message: n - 2}
	switch n {
	case 1:
		e.Action, e.Message = "open", 0
	case last:
		e.Action, e.Message, e.Code, e.Initiator = "close", 0, 1000, "client"
	}
	return e
}

func post(seconds, number int, answer Answer, events ...Event) Post {
	return Post{At: noon.Add(time.Duration(seconds) * time.Second), Number: number, Events: events, Answer: answer}
}

// wellDone is a gateway's work that nobody can blame: two connections with three
// messages each. The Posts are
//
//	0 a-1  1 b-1  2 a-2 (503)  3 b-2  4 a-2  5 a-3 (reset)  6 a-3  7 b-3 (400)
//	8 a-4  9 a-5  10 b-4 (seen as attempt 2)  11 b-5 (cut off)  12 b-5
func wellDone() Evidence {
	a := func(n int) Event { return event("a", n, 5) }
	b := func(n int) Event { return event("b", n, 5) }
	return Evidence{
		Record: Record{
			Posts: []Post{
				post(0, 1, Acked, a(1)), post(0, 1, Acked, b(1)), post(1, 1, Retryable, a(2)), post(1, 1, Acked, b(2)),
				post(2, 2, Acked, a(2)), post(3, 1, Unanswered, a(3)), post(4, 2, Acked, a(3)), post(4, 1, Refused, b(3)),
				post(5, 1, Acked, a(4)), post(6, 1, Acked, a(5)), post(6, 2, Acked, b(4)), post(7, 1, MaybeAcked, b(5)), post(8, 2, Acked, b(5)),
			},
			Blind: 1,
		},
		Clients: []Client{
			{User: "user of a", Opened: noon, End: Clean, Sent: 3, Code: 1000},
			{User: "user of b", Opened: noon, End: Clean, Sent: 3, Code: 1000},
		},
		Letters: []Letter{{At: noon.Add(4 * time.Second), Attempts: 1, Event: b(3)}},
		Timeout: time.Second, RetryFor: time.Minute,
	}
}

func TestAGatewayThatDoesItsWorkIsNotBlamed(t *testing.T) {
	f := Audit(wellDone())
	if len(f.Broken) > 0 {
		t.Errorf("%q", f.Broken)
	}
	f.Broken = nil
	if want := (Findings{Connections: 2, Events: 10, Attempts: 13, Duplicates: 3, Unseen: 1, Letters: 1}); fmt.Sprint(f) != fmt.Sprint(want) {
		t.Errorf("got %+v, want %+v", f, want)
	}
}

// says fails unless the audit says this of the evidence, or nothing if it is "".
func says(t *testing.T, e Evidence, want string) {
	t.Helper()
	f := Audit(e)
	if said := strings.Join(f.Broken, "\n"); !strings.Contains(said, want) || want == "" && said != "" {
		t.Errorf("it says %q, nothing of %q", f.Broken, want)
	}
}

// without returns all but the i-th.
func without[T any](all []T, i int) []T { return slices.Delete(slices.Clone(all), i, i+1) }

func swap(e *Evidence, i, j int) { e.Posts[i], e.Posts[j] = e.Posts[j], e.Posts[i] }

func TestTheAuditNoticesEachWayToFail(t *testing.T) {
	last := event("a", 5, 5)
	for _, c := range []struct {
		name, want string
		spoil      func(e *Evidence)
	}{
		{"a message is lost", "came before event 4", func(e *Evidence) { e.Posts = without(e.Posts, 8) }},
		{"a message is lost with its number", "sent 3 messages before its close, and the app got 2", func(e *Evidence) {
			e.Posts = without(e.Posts, 8)
			e.Posts[8].Events[0].ID = "a-4"
		}},
		{"an event is given up without an answer", "a-3 is lost", func(e *Evidence) { e.Posts[6].Answer = Retryable }},
		{"an event is not tried again", "a-2 is lost", func(e *Evidence) { e.Posts = without(e.Posts, 4) }},
		{"a close is lost", "event 4 of 4 of user of a is the last, and no close", func(e *Evidence) { e.Posts = without(e.Posts, 9) }},
		{"an open is lost", "came before event 1", func(e *Evidence) { e.Posts = without(e.Posts, 0) }},
		{"a message is lost, and all behind it are given up", "event 4 of 5 of user of a, its message, came before those that precede it", func(e *Evidence) {
			e.Posts = slices.Delete(e.Posts, 8, 10)
			e.Posts = slices.Delete(e.Posts, 5, 7)
			for n := 4; n <= 5; n++ {
				e.Letters = append(e.Letters, Letter{At: noon.Add(time.Hour), Attempts: 9, Event: event("a", n, 5)})
			}
		}},
		{"a connection is kept quiet", "never heard of it", func(e *Evidence) {
			e.Clients = append(e.Clients, Client{User: "user of c", End: Clean})
		}},
		{"messages are swapped", "a-3 came after a-4", func(e *Evidence) { swap(e, 6, 8); e.Posts = without(e.Posts, 5) }},
		{"messages are swapped before they are numbered", "has the client's message 2", func(e *Evidence) {
			e.Posts[5].Events[0].Message, e.Posts[6].Events[0].Message, e.Posts[8].Events[0].Message = 2, 2, 1
		}},
		{"the next event does not wait", "a-3 came before a-2 was settled", func(e *Evidence) { swap(e, 4, 5) }},
		{"a close overtakes", "a-4 came after a-5", func(e *Evidence) { swap(e, 8, 9) }},
		{"two closes", "event 6 of 6 of user of a, its close, came after the close", func(e *Evidence) {
			again := last
			again.ID = "a-6"
			e.Posts = append(e.Posts, post(9, 1, Acked, again))
		}},
		{"two opens", "has the connections", func(e *Evidence) {
			again := event("c", 1, 5)
			again.User = "user of a"
			e.Posts = append(e.Posts, post(9, 1, Acked, again))
		}},
		{"an event again after it was taken", "came again, as attempt 2, after it was acknowledged", func(e *Evidence) {
			e.Posts = append(e.Posts, post(9, 2, Acked, last))
		}},
		{"an event again after it was refused", "came again, as attempt 2", func(e *Evidence) {
			e.Posts = slices.Insert(e.Posts, 8, post(4, 2, Acked, event("b", 3, 5)))
		}},
		{"an attempt that does not say so", "a-2 came twice as attempt 1", func(e *Evidence) { e.Posts[4].Number = 1 }},
		{"attempts that count down", "came as attempt 1 after attempt 2", func(e *Evidence) { swap(e, 2, 4) }},
		{"attempts that are left out", "2 attempts were counted that the app has not read", func(e *Evidence) { e.Posts[12].Number = 3 }},
		{"one id for two events", "a-2 is two events", func(e *Evidence) { e.Posts[4].Events[0].Message = 7 }},
		{"an id that is none", "is called", func(e *Evidence) { e.Posts[0].Events[0].ID = "x-1" }},
		{"an event number 0", "is called", func(e *Evidence) { e.Posts[0].Events[0].ID = "a-0" }},
		{"a connection of two users", "is user of a's and user of b's", func(e *Evidence) { e.Posts[8].Events[0].User = "user of b" }},
		{"a connection out of nothing", "who never came", func(e *Evidence) { e.Posts = append(e.Posts, post(9, 1, Acked, event("c", 1, 5))) }},
		{"a message out of nothing", "sent 2 messages, and the app got 3", func(e *Evidence) { e.Clients[0].Sent = 2 }},
		{"a connection of one who was refused", "was refused, and the app heard", func(e *Evidence) { e.Clients[0].End = Never }},
		{"a close with another code", "its close event says 1000 by the client", func(e *Evidence) { e.Clients[0].Code = 4002 }},
		{"a close of somebody else's", "ended with 1006 by the network", func(e *Evidence) { e.Clients[0].End = Reset }},
		{"a connection that broke", "user of a: what a pity", func(e *Evidence) { e.Clients[0].End, e.Clients[0].Trouble = Broken, "what a pity" }},
		{"no dead letter", "b-3 was refused and has no dead letter", func(e *Evidence) { e.Letters = nil }},
		{"two dead letters", "b-3 has 2 dead letters", func(e *Evidence) { e.Letters = append(e.Letters, e.Letters[0]) }},
		{"a dead letter of what was taken", "a-5 was acknowledged and has a dead letter", func(e *Evidence) {
			e.Letters = append(e.Letters, Letter{At: noon.Add(time.Hour), Attempts: 1, Event: last})
		}},
		{"a dead letter that knows less", "b-5 came as attempt 2, and its dead letter knows of 1", func(e *Evidence) {
			e.Posts[12].Answer = Retryable
			e.Letters = append(e.Letters, Letter{At: noon.Add(time.Hour), Attempts: 1, Event: event("b", 5, 5)})
		}},
		{"an event that is given up too soon", "b-5 was given up after 30s", func(e *Evidence) {
			e.Posts[12].Answer = Retryable
			e.Letters = append(e.Letters, Letter{At: noon.Add(37 * time.Second), Attempts: 2, Event: event("b", 5, 5)})
		}},
		{"a request that is none", "X-Attempt is", func(e *Evidence) { e.Odd = []string{`X-Attempt is ""`} }},
		{"a reply that nobody asked for", "was sent what was not for it", func(e *Evidence) { e.Clients[0].Replies = []Reply{{"a-2", 2}} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := wellDone()
			c.spoil(&e)
			says(t, e, c.want)
		})
	}
}

func TestTheAuditMakesAllowanceForWhatIsNotTheGateways(t *testing.T) {
	for _, c := range []struct {
		name  string
		grant func(e *Evidence)
	}{
		{"an answer that came late, as a timeout shows", func(e *Evidence) {
			e.Posts = append(e.Posts, post(9, 2, Acked, event("a", 5, 5)))
			e.Timeouts = 1
		}},
		{"an attempt that was read when it had been given up", func(e *Evidence) {
			stale := post(7, 1, Unanswered, event("b", 4, 5))
			stale.Stale = true
			e.Posts = append(e.Posts, stale)
			e.Blind = 0
		}},
		{"attempts at a closed port", func(e *Evidence) {
			e.Posts[12].Number = 30
			e.Outages = []Outage{{From: 12, To: 12}}
		}},
		{"an event that was given up at the end of its window", func(e *Evidence) {
			e.Posts[12].Answer = Retryable
			e.Letters = append(e.Letters, Letter{At: noon.Add(67 * time.Second), Attempts: 2, Event: event("b", 5, 5)})
		}},
		{"an event that was given up, unseen", func(e *Evidence) {
			e.Posts = without(e.Posts, 8)
			e.Letters = append(e.Letters, Letter{At: noon.Add(2 * time.Minute), Attempts: 9, Event: event("a", 4, 5)})
		}},
		{"an event whose time began while the port was closed", func(e *Evidence) {
			e.Posts[10].Number, e.Posts[12].Answer, e.Blind = 1, Retryable, 0
			e.Posts[11].At, e.Posts[12].At = noon.Add(62*time.Second), noon.Add(67*time.Second)
			e.Outages = []Outage{{From: 11, To: 11}}
			e.Letters = append(e.Letters, Letter{At: noon.Add(67 * time.Second), Attempts: 2, Event: event("b", 5, 5)})
		}},
		{"messages that went down with the connection", func(e *Evidence) {
			e.Clients[0].End, e.Clients[0].Sent = Reset, 10
			e.Posts[9].Events[0].Code, e.Posts[9].Events[0].Initiator = 1006, "network"
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := wellDone()
			c.grant(&e)
			says(t, e, "")
		})
	}
}

// batched is a connection in batches: the first is tried again.
func batched() Evidence {
	a := func(n int) Event { return event("a", n, 5) }
	return Evidence{
		Record: Record{Posts: []Post{
			post(0, 1, Retryable, a(1), a(2)), post(1, 2, Acked, a(1), a(2)), post(2, 1, Acked, a(3), a(4), a(5)),
		}},
		Clients: []Client{{User: "user of a", End: Clean, Sent: 3, Code: 1000}},
		Timeout: time.Second, RetryFor: time.Minute,
	}
}

func TestBatchesAreTriedAgainWholeOrInParts(t *testing.T) {
	if f := Audit(batched()); len(f.Broken) > 0 || f.Duplicates != 2 {
		t.Errorf("%+v", f)
	}
	refused := batched() // is divided, and each part goes its own way
	refused.Posts[0].Answer = Refused
	first, second := post(1, 2, Refused, refused.Posts[0].Events[0]), post(2, 2, Acked, refused.Posts[0].Events[1])
	refused.Posts = []Post{refused.Posts[0], first, second, refused.Posts[2]}
	refused.Letters = []Letter{{Event: first.Events[0], Attempts: 2, At: second.At}}
	says(t, refused, "")
	for _, c := range []struct {
		name, want string
		spoil      func(e *Evidence)
	}{
		{"in part", "a-1 is lost", func(e *Evidence) { e.Posts[1].Events = e.Posts[1].Events[1:] }},
		{"among others", "came in the batch of a-2 a-3, and before in that of a-1 a-2", func(e *Evidence) {
			e.Posts[1].Events = []Event{e.Posts[1].Events[1], e.Posts[2].Events[0]}
		}},
		{"in another order", "a-1 came after a-2", func(e *Evidence) { slices.Reverse(e.Posts[1].Events) }},
		{"before it was settled", "a-3 came before a-2 was settled", func(e *Evidence) { swap(e, 1, 2) }},
		{"out of order from the first", "a-4 came before event 3", func(e *Evidence) { slices.Reverse(e.Posts[2].Events[:2]) }},
		{"after it was taken", "came again, as attempt 2", func(e *Evidence) { e.Posts[0].Answer = Acked }},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := batched()
			c.spoil(&e)
			says(t, e, c.want)
		})
	}
}

// inParts is a batch of one connection that the app first reads when it has been attempted
// three times and divided: its first half, the first event alone, and what is left.
func inParts() Evidence {
	a := func(n int) Event { return event("a", n, 5) }
	return Evidence{
		Record: Record{
			Posts: []Post{
				post(0, 1, Acked, a(1)), post(3, 4, Retryable, a(2), a(3)), post(4, 5, Acked, a(2)), post(5, 5, Acked, a(3), a(4), a(5)),
			},
			Blind: 3,
		},
		Clients: []Client{{User: "user of a", Opened: noon, End: Clean, Sent: 3, Code: 1000}},
		Timeout: time.Second, RetryFor: time.Minute,
	}
}

func TestTheWholeOfADividedBatchMayBeReadLateOrNever(t *testing.T) {
	if f := Audit(inParts()); len(f.Broken) > 0 || f.Unseen != 3 {
		t.Errorf("%+v", f)
	}
	late := inParts()
	whole := post(1, 3, Unanswered, slices.Concat(late.Posts[1].Events, late.Posts[3].Events[1:])...)
	whole.Stale = true
	late.Posts, late.Blind = append(late.Posts, whole), 2
	says(t, late, "")
	givenUp := inParts() // the first event, alone, at a closed port
	givenUp.Posts = without(givenUp.Posts, 2)
	givenUp.Letters = []Letter{{At: noon.Add(2 * time.Minute), Attempts: 9, Event: givenUp.Posts[1].Events[0]}}
	says(t, givenUp, "")
	for _, c := range []struct {
		name, want string
		spoil      func(e *Evidence)
	}{
		{"the part was the whole", "a-3 came in the batch of a-3 a-4 a-5, and before in that of a-2 a-3", func(e *Evidence) { e.Posts[1].Number = 1 }},
		{"with another connection's", "a-3 came in the batch of", func(e *Evidence) { e.Posts[1].Events = append(e.Posts[1].Events, event("b", 1, 5)) }},
		{"without the end of the part", "a-3 came in the batch of a-3 a-4, and before in that of a-2 a-3 a-5", func(e *Evidence) {
			e.Posts[1].Events, e.Posts[3].Events = append(e.Posts[1].Events, e.Posts[3].Events[2]), e.Posts[3].Events[:2]
		}},
		{"before its turn", "a-3 came before a-2 was settled", func(e *Evidence) { swap(e, 2, 3) }},
		{"attempts left out", "4 attempts were counted", func(e *Evidence) { e.Posts[3].Number = 7 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := inParts()
			c.spoil(&e)
			says(t, e, c.want)
		})
	}
}

// A batch of more connections is given up whole, but before that single events of it may
// have been attempted.
func TestABatchIsGivenUpWithTheEventThatWasAttemptedAlone(t *testing.T) {
	a := func(n int) Event { return event("a", n, 5) }
	letter := func(attempts, n int) Letter {
		return Letter{At: noon.Add(time.Minute + time.Second), Attempts: attempts, Event: a(n)}
	}
	given := func(posts ...Post) Evidence {
		return Evidence{
			Record:  Record{Posts: append([]Post{post(1, 1, Acked, a(1))}, posts...), Blind: 3},
			Clients: []Client{{User: "user of a", Opened: noon, End: Clean, Sent: 3, Code: 1000}},
			Letters: []Letter{letter(4, 2), letter(2, 3), letter(2, 4), letter(2, 5)},
			Timeout: time.Second, RetryFor: time.Minute, Batches: true,
		}
	}
	alone, whole := post(30, 3, Retryable, a(2)), post(40, 4, Retryable, a(2), a(3), a(4), a(5))
	says(t, given(alone), "")
	unread := given(alone)
	unread.Letters[1].Attempts = 5
	says(t, unread, "a-3 was given up after 0s and 5 attempts")
	read := given(alone, whole)
	for i := range read.Letters {
		read.Letters[i].Attempts = 4
	}
	says(t, read, "")
	soon := given(alone)
	for i := range soon.Letters {
		soon.Letters[i].At = noon.Add(40 * time.Second)
	}
	says(t, soon, "a-3 was given up after 39s and 2 attempts")
}

// replied is wellDone with answers that speak to the client of a.
func replied() Evidence {
	e := wellDone()
	e.Replies = true
	for _, i := range []int{4, 6, 8} {
		e.Posts[i].Reply = true
	}
	e.Clients[0].Replies = []Reply{{"a-2", 2}, {"a-3", 2}, {"a-4", 1}}
	return e
}

func TestRepliesComeOnceAndInOrder(t *testing.T) {
	says(t, replied(), "")
	for _, c := range []struct {
		name, want string
		spoil      func(c *Client)
	}{
		{"twice", "a-3 twice", func(c *Client) { c.Replies = slices.Insert(c.Replies, 1, c.Replies[1]) }},
		{"swapped", "a-2 twice, or after", func(c *Client) { slices.Reverse(c.Replies[:2]) }},
		{"left out", "and not that to a-3", func(c *Client) { c.Replies = without(c.Replies, 1) }},
		{"another's", "was sent what was not for it: the reply to b-2", func(c *Client) { c.Replies[0].Event = "b-2" }},
		{"to a failed attempt", "the reply to attempt 1 at a-2", func(c *Client) { c.Replies[0].Attempt = 1 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := replied()
			c.spoil(&e.Clients[0])
			says(t, e, c.want)
		})
	}
}

func TestAFloodOfBreachesIsCutShort(t *testing.T) {
	e := wellDone()
	for n := range 500 {
		e.Posts = append(e.Posts, post(9, 1, Acked, event(fmt.Sprint("stranger", n), 1, 5)))
	}
	f := Audit(e)
	if len(f.Broken) != mostBroken+1 || !strings.HasPrefix(f.Broken[mostBroken], "and ") {
		t.Errorf("%d: %q", len(f.Broken), f.Broken)
	}
}
