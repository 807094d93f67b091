package forward

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestDrainDeliversWhatWaitsWithinItsDeadline(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		a.serve = func(p post, w http.ResponseWriter, _ *http.Request) {
			if p.attempt == 1 {
				w.Header().Set("Retry-After", "50")
				w.WriteHeader(503)
			}
		}
		f.Message(source(1, 0), []byte("1"), false)
		synctest.Wait()
		equal(t, "waiting", f.Stats().Waiting, 1)
		start := time.Now()
		equal(t, "left over", f.Drain(within(t, 8*time.Second)), Leftover{})
		equal(t, "took", time.Since(start), 4*time.Second)
	})
}

func TestDrainCutsOffAtItsDeadlineAndKeepsWhatIsLeft(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dead.jsonl")
	bubble(t, Config{DeadLetter: file}, func(t *testing.T, f *Forwarder, a *fakeApp, log *logBuffer) {
		a.serve = func(p post, _ http.ResponseWriter, r *http.Request) {
			if p.id != "c3-0" {
				<-r.Context().Done()
			}
		}
		src := source(1, 0)
		src.Headers = "sid=1"
		f.Open(src, Request{})
		f.Message(source(1, 1), []byte("{\n\"a\": 1\r\n}"), false)
		f.Message(source(2, 0), []byte("1"), true)
		f.Message(source(3, 0), []byte("1"), false)
		start := time.Now()
		equal(t, "left over", f.Drain(within(t, 3*time.Second)), Leftover{Events: 3, DeadLetters: 3})
		equal(t, "took", time.Since(start), 3*time.Second)
		equal(t, "again", f.Drain(context.Background()), Leftover{Events: 3, DeadLetters: 3})

		f.Close(source(1, 2), End{})
		if f.Message(source(1, 3), make([]byte, 2<<20), true) {
			t.Error("full after Drain: nobody would call Drained")
		}
		s := f.Stats()
		equal(t, "failed", s.Failed, [Actions]uint64{1, 3, 1})
		equal(t, "lanes, events, bytes", [3]int64{s.Lanes, s.Events, s.Bytes}, [3]int64{})

		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n")
		slices.SortFunc(lines, func(a, b string) int { // lanes come in any order
			return strings.Compare(a[strings.Index(a, "request_id"):], b[strings.Index(b, "request_id"):])
		})
		var ids []string
		for _, line := range lines {
			var letter struct {
				Time                  time.Time
				RequestID             string `json:"request_id"`
				Action, Error, Cookie string
				Attempts, Status      int
				Event                 json.RawMessage
			}
			if err := json.Unmarshal([]byte(line), &letter); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			ids = append(ids, letter.RequestID)
			equal(t, "error", letter.Error, "gateway stopped")
			if letter.RequestID == "c1-0" {
				equal(t, "cookie", letter.Cookie, "sid=1")
				equal(t, "attempts", letter.Attempts, 1)
			}
		}
		equal(t, "dead letters", fmt.Sprint(ids), "[c1-0 c1-1 c2-0]")
		if want := `"attempts":0,"error":"gateway stopped","event":{"data":{ "a": 1  },"action":"message","user_name":"alice","conn_id":"c1"}}`; !strings.HasSuffix(lines[1], want) {
			t.Errorf("got %s, want %s", lines[1], want)
		}
	})
}

func TestDrainCutsOffConnectingToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newFakeApp(t)
		close(a.quit) // nobody accepts: connecting hangs
		f, err := New(Config{URL: "http://app/"})
		if err != nil {
			t.Fatal(err)
		}
		f.terms.Load().dial = func(ctx context.Context) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		f.Start()
		f.Message(source(1, 0), []byte("1"), false)
		start := time.Now()
		equal(t, "left over", f.Drain(within(t, time.Second)), Leftover{Events: 1})
		equal(t, "took", time.Since(start), time.Second)
	})
}

func TestDrainWithoutStartKeepsEverything(t *testing.T) {
	f, err := New(Config{URL: "http://127.0.0.1:1/"})
	if err != nil {
		t.Fatal(err)
	}
	f.Open(source(1, 0), Request{})
	equal(t, "left over", f.Drain(context.Background()), Leftover{Events: 1})
}
