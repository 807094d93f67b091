package chaos

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

func newApp(t *testing.T, cfg AppConfig) *App {
	t.Helper()
	a, err := NewApp(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// calm lets an App take whatever comes.
func calm(t *testing.T, a *App) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Misbehave(ctx); err != nil {
		t.Fatal(err)
	}
}

// forgotten returns when the app knows that all connections are over: one that it still
// had to drop would leave its last answer in doubt.
func forgotten(a *App) {
	for {
		a.mu.Lock()
		open := len(a.open)
		a.mu.Unlock()
		if open == 0 {
			return
		}
		runtime.Gosched()
	}
}

func dial(t *testing.T, a *App) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", a.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func postText(id string, attempt int, body string) string {
	return fmt.Sprintf("POST /events HTTP/1.1\r\nHost: app\r\nX-Request-Id: %s\r\nX-Attempt: %d\r\nContent-Length: %d\r\n\r\n%s", id, attempt, len(body), body)
}

const hello = `{"data":{"n":3,"pad":"x"},"action":"message","user_name":"alice","conn_id":"c"}`

func TestACalmAppTakesEventsAndKeepsAccount(t *testing.T) {
	a := newApp(t, AppConfig{Temper: Temper{Connections: true, Answers: true, Ports: true}, Timeout: time.Second, Replies: true})
	calm(t, a)
	c := dial(t, a)
	in := bufio.NewReader(c)
	for attempt := range 2 {
		_, _ = io.WriteString(c, postText("c-5", attempt+1, hello)) // a failure shows in the answer
		answer, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		if want := fmt.Sprintf(`{"re":"c-5","attempt":%d}`, attempt+1); err != nil || answer.StatusCode != 200 || string(body) != want {
			t.Fatalf("%d, %s, %v", answer.StatusCode, body, err)
		}
	}
	_, _ = io.WriteString(c, postText("c-6", 1, `[{}]`))
	if _, err := in.ReadByte(); err != io.EOF {
		t.Errorf("a batch that is not named after its first event was taken: %v", err)
	}
	forgotten(a)
	r, odd := a.Stop()
	want := Event{ID: "c-5", Conn: "c", User: "alice", Action: "message", Message: 3}
	if len(r.Posts) != 2 || r.Posts[1].Number != 2 || r.Posts[1].Answer != Acked || !r.Posts[1].Reply || r.Posts[1].Events[0] != want {
		t.Errorf("%+v", r.Posts)
	}
	if len(odd) != 1 || !strings.Contains(odd[0], "the batch c-6") {
		t.Errorf("%q", odd)
	}
}

func TestAClosedPortRefusesAndOpensAgain(t *testing.T) {
	a := newApp(t, AppConfig{})
	for range 3 {
		a.log.down(refuse)
		a.shut()
		if c, err := net.Dial("tcp", a.addr.String()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("got %v, %v", c, err)
		}
		a.log.up()
		if err := a.listen(); err != nil {
			t.Fatal(err)
		}
		dial(t, a).Close()
	}
	if r, _ := a.Stop(); len(r.Outages) != 3 || r.Faults[refuse] != 3 {
		t.Errorf("%+v", r)
	}
}

// pair is a session of a, which nobody serves, and its other end.
func pair(t *testing.T, a *App) (*session, *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return newSession(a, server.(*net.TCPConn), rand.New(rand.NewPCG(1, 1))), client.(*net.TCPConn)
}

func TestAnAppSeesThatItWasGivenUp(t *testing.T) {
	a := newApp(t, AppConfig{Timeout: time.Second})
	defer a.Stop()
	s, client := pair(t, a)
	if s.deserted() {
		t.Error("deserted from the start")
	}
	_, _ = io.WriteString(client, "P") // a failure shows in the next line
	if s.await(); s.deserted() {
		t.Error("deserted by one who has sent something")
	}
	client.Close()
	s.outwait(true)
	if !s.deserted() || a.log.record.Waited != 1 {
		t.Errorf("not deserted; %d waited", a.log.record.Waited)
	}
}

func TestAnAnswerThatMayNotHaveArrivedIsDoubtful(t *testing.T) {
	a := newApp(t, AppConfig{})
	defer a.Stop()
	for _, c := range []struct{ said, becomes Answer }{
		{Acked, MaybeAcked}, {Refused, MaybeRefused}, {Retryable, Retryable}, {Unanswered, Unanswered},
	} {
		s, _ := pair(t, a)
		index := s.enter(Post{})
		s.decide(index, none, c.said, false)
		s.drop(true)
		if s.send(index, "too late") || a.log.record.Posts[index].Answer != c.becomes {
			t.Errorf("%v became %v", c.said, a.log.record.Posts[index].Answer)
		}
	}
}

// Every fault of a request says something, or nothing, and is logged with what it means.
func TestEachFaultIsDoneAndLogged(t *testing.T) {
	means := map[Fault]Answer{
		resetRead: Unanswered, hang: Unanswered, cutStatus: Unanswered, notHTTP: Unanswered, trickleTooSlow: Unanswered,
		retryStatus: Retryable, finalStatus: Refused, resetAnswered: MaybeAcked, cutHead: MaybeAcked,
	}
	for _, o := range []odds{ofConnections, ofAnswers} {
		for _, each := range o {
			a := newApp(t, AppConfig{Timeout: 20 * time.Millisecond})
			s, client := pair(t, a)
			p := Post{Number: 1, Events: []Event{{ID: "c-1"}}}
			index := s.enter(p)
			heard := make(chan []byte, 1)
			go func() {
				if each.fault == hang || each.fault == trickleTooSlow {
					client.Close() // gives up
				}
				said, _ := io.ReadAll(client) // ends with a reset for some
				heard <- said
			}()
			if each.fault == lengthTooLong {
				_ = client.CloseWrite() // gives up, having read
			}
			s.perform(index, each.fault, s.body(&p))
			s.c.Close()
			said := <-heard
			got := a.log.record.Posts[index]
			want, special := means[each.fault]
			if !special {
				want = Acked
			}
			if each.fault == bodyTooLong && got.Answer == MaybeAcked {
				want = MaybeAcked
			}
			if got.Fault != each.fault || got.Answer != want || a.log.record.Faults[each.fault] != 1 {
				t.Errorf("%v: logged %+v", each.fault, got)
			}
			if want == Acked && !strings.Contains(string(said), " 2") {
				t.Errorf("%v: said %.60q", each.fault, said)
			}
			a.Stop()
		}
	}
}

func TestDeadLettersAreRead(t *testing.T) {
	letters, err := Letters([]byte(`{"time":"2026-01-01T12:00:00Z","request_id":"c-5","action":"message","attempts":7,"status":400,"event":` + hello + "}\n"))
	want := Letter{At: noon, Attempts: 7, Event: Event{ID: "c-5", Conn: "c", User: "alice", Action: "message", Message: 3}}
	if err != nil || len(letters) != 1 || letters[0] != want {
		t.Errorf("%+v, %v", letters, err)
	}
	if _, err := Letters([]byte("{}\n{\n")); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("a torn line: %v", err)
	}
}
