package forward

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"ws-gateway/forward/callback"
	"ws-gateway/hub/groups"
)

// recorded is a Config whose Regroup and Reply write down what they are called with.
func recorded(got *[]string) Config {
	return Config{
		Regroup: func(key uint64, join, leave []string) {
			*got = append(*got, fmt.Sprintf("%d joins %q leaves %q", key, join, leave))
		},
		Reply: func(key uint64, r Reply) { *got = append(*got, fmt.Sprintf("%d gets %s", key, r.Body)) },
	}
}

func TestAnAnswerJoinsAndLeavesGroups(t *testing.T) {
	long := strings.Repeat("x", groups.MaxName)
	for _, c := range []struct {
		name       string
		header     http.Header
		status     int
		want       string
		unreadable uint64
	}{
		{"nothing", nil, 200, "", 0},
		{"both", http.Header{"X-Ws-Join": {"room-1, room%2C2"}, "X-Ws-Leave": {"room-3"}}, 200, `7 joins ["room-1" "room,2"] leaves ["room-3"]`, 0},
		{"without a body", http.Header{"X-Ws-Join": {"a"}}, 204, `7 joins ["a"] leaves []`, 0},
		{"repeated", http.Header{"X-Ws-Join": {"a,b", "c"}, "X-Ws-Leave": {"d", "e, f"}}, 200, `7 joins ["a" "b" "c"] leaves ["d" "e" "f"]`, 0},
		{"in any case", http.Header{"x-ws-join": {"Aa"}, "X-WS-LEAVE": {"b"}}, 200, `7 joins ["Aa"] leaves ["b"]`, 0},
		{"as long as can be", http.Header{"X-Ws-Join": {long}}, 200, fmt.Sprintf("7 joins [%q] leaves []", long), 0},
		{"with the connection's end", http.Header{"X-Ws-Join": {"a"}, "Connection": {"close"}}, 200, `7 joins ["a"] leaves []`, 0},
		{"not UTF-8", http.Header{"X-Ws-Join": {"%ff"}}, 200, "", 1},
		{"cut off in an escape", http.Header{"X-Ws-Join": {"a, b%2"}}, 200, "", 1},
		{"a control character", http.Header{"X-Ws-Join": {"a%00"}}, 200, "", 1},
		{"too long", http.Header{"X-Ws-Join": {long + "x"}}, 200, "", 1},
		{"empty", http.Header{"X-Ws-Join": {""}, "X-Ws-Leave": {" , "}}, 200, "", 2},
		{"one line of two is wrong", http.Header{"X-Ws-Join": {"a", "%"}}, 200, "", 1},
		{"one field of two is wrong", http.Header{"X-Ws-Join": {"%"}, "X-Ws-Leave": {"a"}}, 200, `7 joins [] leaves ["a"]`, 1},
		{"a head too long", http.Header{"X-Ws-Join": {"a"}, "X-Other": {strings.Repeat("x", 8<<10)}}, 200, "", 1},
		{"a refusal", http.Header{"X-Ws-Join": {"a"}, "X-Ws-Leave": {"%"}}, 400, "", 0},
		{"a redirect", http.Header{"X-Ws-Join": {"a"}}, 302, "", 0},
	} {
		var got []string
		cfg := recorded(&got)
		cfg.Reply = nil
		bubble(t, cfg, func(t *testing.T, f *Forwarder, a *fakeApp, log *logBuffer) {
			a.serve = func(_ post, w http.ResponseWriter, _ *http.Request) {
				for name, values := range c.header {
					w.Header()[name] = values
				}
				w.WriteHeader(c.status)
			}
			f.Message(source(7, 1), []byte("1"), false)
			f.Message(source(7, 2), []byte("1"), false)
			synctest.Wait()
			want := []string{c.want, c.want}
			if c.want == "" {
				want = nil
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", c.name, got, want)
			}
			equal(t, c.name+": unreadable", f.Stats().RegroupsUnreadable, 2*c.unreadable)
			equal(t, c.name+": logged", log.count("said once"), min(int(c.unreadable), 1))
			equal(t, c.name+": left", f.Stats().Events, 0)
		})
	}
}

func TestGroupsChangeBeforeTheReplyOfTheSameAnswerAndEachInItsTurn(t *testing.T) {
	var got []string
	bubble(t, recorded(&got), func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		a.serve = func(p post, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Ws-Join", p.id)
			_, _ = io.WriteString(w, p.id)
		}
		for seq := range 3 {
			f.Message(source(1, seq), []byte("1"), false)
		}
		synctest.Wait()
		want := []string{
			`1 joins ["c1-0"] leaves []`, "1 gets c1-0", `1 joins ["c1-1"] leaves []`, "1 gets c1-1", `1 joins ["c1-2"] leaves []`, "1 gets c1-2",
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

func TestOnlyTheAnswerThatCountsChangesGroups(t *testing.T) {
	var got []string
	bubble(t, recorded(&got), func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		a.serve = func(p post, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Ws-Join", strconv.Itoa(p.attempt))
			switch p.attempt {
			case 1:
				w.WriteHeader(503)
			case 2:
				panic(http.ErrAbortHandler)
			}
		}
		f.Message(source(1, 0), []byte("1"), false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if want := []string{`1 joins ["3"] leaves []`}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

// Of a head of which nothing but the status is wanted, the rest is given a second.
func TestAHeadThatNamesGroupsIsWaitedFor(t *testing.T) {
	var got []string
	cfg := recorded(&got)
	cfg.Reply = nil
	bubble(t, cfg, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		a.serve = func(_ post, w http.ResponseWriter, _ *http.Request) {
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			time.Sleep(5 * time.Second)
			_, _ = io.WriteString(c, "X-Ws-Join: a\r\nContent-Length: 0\r\n\r\n")
		}
		f.Message(source(1, 0), []byte("1"), false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if want := []string{`1 joins ["a"] leaves []`}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

func TestWithoutRegroupNoAnswerIsLookedAt(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, f *Forwarder, a *fakeApp, log *logBuffer) {
		a.serve = func(_ post, w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Ws-Join", "%") }
		f.Message(source(1, 0), []byte("1"), false)
		answers := make(chan asked, 1)
		ask(f, 2, answers)
		synctest.Wait()
		if got := take(t, answers); got.Join != nil || got.Leave != nil {
			t.Errorf("%+v", got)
		}
		equal(t, "unreadable", f.Stats().RegroupsUnreadable, 0)
		equal(t, "log", log.String(), "")
	})
}

func TestTheAnswerThatAuthorisesNamesGroups(t *testing.T) {
	var got []string
	bubble(t, recorded(&got), func(t *testing.T, f *Forwarder, a *fakeApp, log *logBuffer) {
		a.serve = func(p post, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Ws-Join", "a, b")
			w.Header().Set("X-Ws-Leave", map[string]string{"c2-0": "%"}[p.id]+"c")
			if p.id == "c3-0" {
				w.WriteHeader(403)
			}
		}
		answers := make(chan asked, 1)
		for key, want := range []string{1: `["a" "b"] ["c"]`, 2: `["a" "b"] []`, 3: `[] []`} {
			if key == 0 {
				continue
			}
			ask(f, key, answers)
			synctest.Wait()
			answer := take(t, answers)
			equal(t, fmt.Sprint("groups of ", key), fmt.Sprintf("%q %q", answer.Join, answer.Leave), want)
		}
		equal(t, "calls of Regroup", len(got), 0)
		equal(t, "unreadable", f.Stats().RegroupsUnreadable, 1)
		equal(t, "logged", log.count("said once"), 1)
	})
}

func TestTheCloseEventsOfLostConnectionsChangeNoGroups(t *testing.T) {
	var got []string
	cfg := recorded(&got)
	cfg.Reply = nil
	cfg.Journal = &memoryJournal{}
	bubble(t, cfg, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		a.serve = func(_ post, w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Ws-Join", "a") }
		lost := slices.Values([]Lost{{ID: "c1", State: appendState(nil, &Source{User: "alice"})}})
		if err := f.CloseLost(t.Context(), Restarted, lost); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		equal(t, "POSTs", len(a.received()), 1)
		equal(t, "calls of Regroup", len(got), 0)
	})
}

func TestWhatTheAppDoesAfterItsAnswerComesAfterTheChangeOfGroups(t *testing.T) {
	answer := func(seq int, _ string) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Ws-Join: %d\r\n\r\nok", seq)
	}
	heededFirst(t, answer, func(heed func(key uint64, seq string)) Config {
		return Config{Regroup: func(key uint64, join, _ []string) { heed(key, join[0]) }}
	})
}

func TestBatchesAndGroupsInAnswersExcludeEachOther(t *testing.T) {
	_, err := New(Config{URL: "http://127.0.0.1:1/", Batch: 2, Regroup: func(uint64, []string, []string) {}})
	if err == nil || !strings.Contains(err.Error(), "batches and groups") {
		t.Error(err)
	}
}

// saidConn is a connection to an app that has said all it will say.
type saidConn struct{ *bytes.Reader }

func (saidConn) Write(p []byte) (int, error)      { return len(p), nil }
func (saidConn) Close() error                     { return nil }
func (saidConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (saidConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (saidConn) SetDeadline(time.Time) error      { return nil }
func (saidConn) SetReadDeadline(time.Time) error  { return nil }
func (saidConn) SetWriteDeadline(time.Time) error { return nil }

func FuzzTheGroupsOfAnAnswerAreNamesOrNothing(f *testing.F) {
	f.Add([]byte("room-1, room%2C2"), []byte("room-3"))
	f.Add([]byte("%"), []byte("\xff"))
	f.Add([]byte(""), []byte(",, ,"))
	f.Add([]byte(strings.Repeat("x", 256)), []byte("a%00"))
	to, err := callback.ParseTarget("http://127.0.0.1:1/hook")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		head := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nX-Ws-Join: %s\r\nContent-Length: 0\r\nX-Ws-Join: %s\r\nX-Ws-Leave: z\r\n\r\n", first, second)
		c := &callback.Client{Target: &to, Dial: func(context.Context) (net.Conn, error) { return saidConn{bytes.NewReader(head)}, nil }}
		soon := time.Now().Add(time.Hour)
		if err := c.Connect(context.Background(), soon); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.Post(&callback.Request{ID: []byte("id-1"), Fields: true}, soon); err != nil || bytes.ContainsAny(slices.Concat(first, second), "\r\n") {
			return // not one value in each line
		}
		r := regroups{log: zerolog.Nop()}
		join, leave := r.read(c, []byte("id-1"))
		if c.StatusOnly {
			equal(t, "unreadable", r.unreadable.Load(), 1)
			equal(t, "names", len(join)+len(leave), 0)
			return
		}
		want, err := groups.ParseList(nil, string(first)+","+string(second)) // as a proxy might join the lines
		if !slices.Equal(join, want) || !slices.Equal(leave, []string{"z"}) {
			t.Fatalf("%q, %q: joins %q, want %q; leaves %q", first, second, join, want, leave)
		}
		if none := len(join) == 0; none != (r.unreadable.Load() == 1) || err != nil && !none {
			t.Fatalf("%q, %q: joins %q, %d unreadable, %v", first, second, join, r.unreadable.Load(), err)
		}
		for _, name := range join {
			if err := groups.CheckName(name); err != nil {
				t.Fatalf("%q, %q: %v", first, second, err)
			}
		}
	})
}
