package forward

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ws-gateway/forward/callback"
)

// asked is an answer that outlives done.
type asked struct {
	Answer
	body string
	at   time.Duration
}

// ask authorizes event 0 of a connection.
func ask(f *Forwarder, key int, answers chan<- asked) {
	f.Authorize(source(key, 0), Request{URI: "/ws"}, func(a Answer) {
		answers <- asked{a, string(a.Body), f.now()}
	})
}

func TestTheAnswerToAnOpenDecidesOverTheUpgrade(t *testing.T) {
	big := strings.Repeat("x", callback.MaxBody+1)
	for _, c := range []struct {
		name  string
		serve func(w http.ResponseWriter)
		want  asked
	}{
		{"yes", func(http.ResponseWriter) {}, asked{Answer: Answer{Status: 200}}},
		{"yes, as bob", func(w http.ResponseWriter) { w.Header().Set("X-Ws-User", "bob") },
			asked{Answer: Answer{Status: 200, User: "bob", HasUser: true}}},
		{"yes, as nobody", func(w http.ResponseWriter) { w.Header().Set("X-Ws-User", ""); w.WriteHeader(204) },
			asked{Answer: Answer{Status: 204, HasUser: true}}},
		{"no", func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(403)
			_, _ = io.WriteString(w, "not you")
		}, asked{Answer: Answer{Status: 403, Err: Rejected, ContentType: "text/plain"}, body: "not you"}},
		{"no, at length", func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/plain")
			w.Header().Set("Content-Length", fmt.Sprint(len(big)))
			w.WriteHeader(401)
			_, _ = io.WriteString(w, big)
		}, asked{Answer: Answer{Status: 401, Err: Rejected, ContentType: "text/plain"}, body: big[:4<<10]}},
		{"no, and good bye", func(w http.ResponseWriter) {
			w.Header().Set("Connection", "close")
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(404)
			_, _ = io.WriteString(w, "gone")
		}, asked{Answer: Answer{Status: 404, Err: Rejected, ContentType: "text/plain"}, body: "gone"}},
		{"yes, in a head that cannot be read", func(w http.ResponseWriter) {
			w.Header().Set("X-Big", big)
			w.Header().Set("X-Ws-User", "bob")
		}, asked{Answer: Answer{Err: Broken}}},
		{"busy", func(w http.ResponseWriter) { w.WriteHeader(503) }, asked{Answer: Answer{Status: 503, Err: Unavailable}}},
		{"elsewhere", func(w http.ResponseWriter) { w.WriteHeader(302) }, asked{Answer: Answer{Status: 302, Err: Rejected}}},
	} {
		bubble(t, Config{}, func(t *testing.T, f *Forwarder, a *fakeApp, log *logBuffer) {
			a.serve = func(_ post, w http.ResponseWriter, _ *http.Request) { c.serve(w) }
			answers := make(chan asked, 2)
			ask(f, 1, answers)
			synctest.Wait()
			got := take(t, answers)
			if got.Status != c.want.Status || got.Err != c.want.Err || got.User != c.want.User || got.HasUser != c.want.HasUser ||
				got.ContentType != c.want.ContentType || got.body != c.want.body {
				t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
			}
			equal(t, c.name+": attempts", len(a.received()), 1)
			heads := f.Stats().HeadsUnreadable
			equal(t, c.name+": log", log.count("an answer's head is"), int(heads))
			equal(t, c.name+": lines of log", log.count("\n"), int(heads))
			equal(t, c.name+": left over", f.Drain(context.Background()), Leftover{})
			s := f.Stats()
			equal(t, c.name+": what is left", [4]int64{s.Lanes, s.Events, s.Bytes, s.Authorizing}, [4]int64{})
			equal(t, c.name+": counted", s.Delivered[actionOpen]+s.AuthorizationsRefused+s.AuthorizationsUnanswered, 1)
			equal(t, c.name+": called again", len(answers), 0)
		})
	}
}

func TestAnAuthorizationIsTriedAgainOnlyForWantOfAnAnswer(t *testing.T) {
	bubble(t, Config{Timeout: 4 * time.Second}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		a.serve = func(p post, w http.ResponseWriter, r *http.Request) {
			switch {
			case p.id == "c1-0" && p.attempt < 3:
				panic(http.ErrAbortHandler)
			case p.id == "c2-0":
				<-r.Context().Done()
			}
		}
		answers := make(chan asked, 2)
		ask(f, 1, answers)
		time.Sleep(2 * time.Second)
		equal(t, "after broken connections", take(t, answers).Status, 200)
		start := f.now()
		ask(f, 2, answers)
		time.Sleep(5 * time.Second)
		hung := take(t, answers)
		equal(t, "hanging", hung.Err, TimedOut)
		equal(t, "for", hung.at-start, 4*time.Second)
		equal(t, "attempts", len(a.received()), 4)
	})
}

func TestWhileTheAppIsDownAuthorizationsWaitForTheirTimeAlone(t *testing.T) {
	bubble(t, Config{AuthorizeFor: 8 * time.Second}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		a.setDown(true)
		answers := make(chan asked, 2000)
		for key := range 1000 {
			ask(f, key, answers)
		}
		time.Sleep(7900 * time.Millisecond)
		if n := len(answers); n > 5 { // some probes leave no time for another
			t.Errorf("%d answers before the time is over", n)
		}
		time.Sleep(200 * time.Millisecond)
		equal(t, "answers", len(answers), 1000)
		for range 1000 {
			if got := take(t, answers); got.Err != Unreachable || got.at > 8*time.Second {
				t.Fatalf("%+v", got)
			}
		}
		if n := len(a.dials); n > 64+10 {
			t.Errorf("%d attempts to connect", n)
		}
		for key := range 1000 { // none of these has an event: they find out themselves that the app is back
			ask(f, key, answers)
		}
		time.Sleep(time.Millisecond)
		a.setDown(false)
		time.Sleep(7990 * time.Millisecond)
		for range 1000 {
			equal(t, "status", take(t, answers).Status, 200)
		}
		equal(t, "bytes", f.Stats().Bytes, 0)
	})
}

func TestAuthorizationsThatNoWorkerGetsToEndInTime(t *testing.T) {
	bubble(t, Config{Concurrency: 2, Timeout: time.Minute, AuthorizeFor: 5 * time.Second}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		a.serve = func(p post, w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
		f.Message(source(1, 0), []byte("1"), false)
		f.Message(source(2, 0), []byte("1"), false)
		answers := make(chan asked, 1)
		ask(f, 3, answers)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		got := take(t, answers)
		equal(t, "outcome", got.Err, TimedOut)
		equal(t, "at", got.at, 5*time.Second)
	})
}

func TestAuthorizationsAndEventsTakeTurns(t *testing.T) {
	bubble(t, Config{Concurrency: 1}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		a.serve = func(post, http.ResponseWriter, *http.Request) { time.Sleep(time.Millisecond) }
		answers := make(chan asked, 100)
		f.Message(source(1, 0), []byte("1"), false)
		synctest.Wait()
		for key := range 50 {
			f.Message(source(100+key, 0), []byte("1"), false)
			ask(f, 200+key, answers)
		}
		f.Drain(context.Background())
		opens := 0
		for i, p := range a.received()[1:] {
			if strings.Contains(p.body, `"action":"open"`) {
				opens++
			}
			if i%2 == 1 && opens != (i+1)/2 {
				t.Fatalf("%d of the first %d are authorizations", opens, i+1)
			}
		}
	})
}

func TestDrainAnswersEveryAuthorization(t *testing.T) {
	answers := make(chan asked, 100)
	bubble(t, Config{Concurrency: 2}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		a.serve = func(p post, w http.ResponseWriter, r *http.Request) {
			if p.attempt == 1 && p.id == "c0-0" {
				panic(http.ErrAbortHandler)
			}
			<-r.Context().Done()
		}
		for key := range 10 {
			ask(f, key, answers)
		}
		synctest.Wait()
		equal(t, "left over", f.Drain(ended()), Leftover{})
		equal(t, "answers", len(answers), 10)
		ask(f, 99, answers)
		equal(t, "answers after the end", len(answers), 11)
		for range 11 {
			equal(t, "outcome", take(t, answers).Err, CutOff)
		}
		s := f.Stats()
		equal(t, "what is left", [4]int64{s.Lanes, s.Events, s.Bytes, s.Authorizing}, [4]int64{})
	})
}
