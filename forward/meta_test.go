package forward

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ws-gateway/forward/deadletter"
	"ws-gateway/hub/meta"
)

// metas are the metadata in what the app has received; "-": none.
func metas(a *fakeApp) (all []string) {
	for _, p := range a.received() {
		_, after, found := strings.Cut(p.body, `,"meta":`)
		if !found {
			after = "-}"
		}
		all = append(all, strings.TrimSuffix(after, "}"))
	}
	return all
}

func wantMetas(t *testing.T, a *fakeApp, want ...string) {
	t.Helper()
	if got := metas(a); !slices.Equal(got, want) {
		t.Errorf("events carry %q, want %q", got, want)
	}
}

// counting has the app answer each event with its number as metadata.
func counting(a *fakeApp) {
	a.serve = func(p post, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Ws-Meta", `{"last":"`+p.id+`"}`)
	}
}

func TestWhatAnAnswerSaysIsThereInTheNextEventThoughThatHasWaitedBehindIt(t *testing.T) {
	store := meta.New(1 << 10)
	bubble(t, Config{Meta: store}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		counting(a)
		f.Open(source(1, 1), Request{})
		f.Message(source(1, 2), []byte("1"), false)
		f.Message(source(1, 3), []byte("2"), true)
		f.Close(source(1, 4), End{Code: 1000})
		synctest.Wait()
		wantMetas(t, a, "-", `{"last":"c1-1"}`, `{"last":"c1-2"}`, `{"last":"c1-3"}`)
		equal(t, "left after the close event", store.Stats(), meta.Stats{})
		equal(t, "memory left", f.pressure.held.Load(), 0)
	})
}

func TestEveryAttemptCarriesTheSameMetadata(t *testing.T) {
	store := meta.New(1 << 10)
	bubble(t, Config{Meta: store}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		set := func(text string) {
			v, err := store.Parse(text)
			if err != nil {
				t.Error(err)
			}
			store.Put(1<<32|1, []byte("c1"), v)
		}
		a.serve = func(p post, w http.ResponseWriter, _ *http.Request) {
			set(fmt.Sprint(p.attempt))
			if p.attempt < 3 {
				w.Header().Set("X-Ws-Meta", `"of a failed attempt"`)
				w.WriteHeader(503)
			}
		}
		set(`"first"`)
		src := source(1, 1)
		src.Key = 1<<32 | 1
		f.Message(src, []byte("1"), false)
		time.Sleep(time.Minute)
		src.Seq = 2
		f.Message(src, []byte("2"), false)
		time.Sleep(time.Minute)
		wantMetas(t, a, `"first"`, `"first"`, `"first"`, "3", "3", "3")
		equal(t, "memory left", f.pressure.held.Load(), 0)
	})
}

func TestAnAnswerWhoseMetadataCannotBeReadChangesNothing(t *testing.T) {
	for _, c := range []struct {
		name   string
		header http.Header
		status int
		want   string
		bad    uint64
	}{
		{"nothing", nil, 200, "1", 0},
		{"an object", http.Header{"X-Ws-Meta": {`{"a":"b%2Cc"}`}}, 200, `{"a":"b,c"}`, 0},
		{"null takes it away", http.Header{"X-Ws-Meta": {"null"}}, 204, "-", 0},
		{"text", http.Header{"X-Ws-Meta": {"lobby"}}, 200, "1", 1},
		{"empty", http.Header{"X-Ws-Meta": {""}}, 200, "1", 1},
		{"a wrong escape", http.Header{"X-Ws-Meta": {`"100%"`}}, 200, "1", 1},
		{"twice", http.Header{"X-Ws-Meta": {"2", "3"}}, 200, "1", 1},
		{"too long", http.Header{"X-Ws-Meta": {`"` + strings.Repeat("x", 20) + `"`}}, 200, "1", 1},
		{"a head too long", http.Header{"X-Ws-Meta": {"2"}, "X-Other": {strings.Repeat("x", 8<<10)}}, 200, "1", 1},
		{"a refusal", http.Header{"X-Ws-Meta": {"2"}}, 400, "1", 0},
	} {
		store := meta.New(20)
		bubble(t, Config{Meta: store}, func(t *testing.T, f *Forwarder, a *fakeApp, log *logBuffer) {
			one, _ := store.Parse("1")
			store.Put(7, []byte("c7"), one)
			a.serve = func(_ post, w http.ResponseWriter, _ *http.Request) {
				for name, values := range c.header {
					w.Header()[name] = values
				}
				w.WriteHeader(c.status)
			}
			f.Message(source(7, 1), []byte("1"), false)
			f.Message(source(7, 2), []byte("1"), false)
			synctest.Wait()
			wantMetas(t, a, "1", c.want)
			equal(t, c.name+": unreadable", f.Stats().MetaUnreadable, 2*c.bad)
			equal(t, c.name+": logged", log.count("said once"), min(int(c.bad), 1))
		})
	}
}

type fullBudget struct{}

func (fullBudget) Reserve(int64) bool { return false }
func (fullBudget) Release(int64)      {}
func (fullBudget) Charge(int64)       {}

func TestMetadataForWhichThereIsNoMemoryIsCountedAndLoggedOnce(t *testing.T) {
	store := meta.New(100)
	store.Use(fullBudget{})
	bubble(t, Config{Meta: store}, func(t *testing.T, f *Forwarder, a *fakeApp, log *logBuffer) {
		counting(a)
		f.Message(source(1, 1), []byte("1"), false)
		f.Message(source(1, 2), []byte("1"), false)
		synctest.Wait()
		wantMetas(t, a, "-", "-")
		equal(t, "refused", f.Stats().MetaOverMemory, 2)
		equal(t, "logged", log.count("no memory"), 1)
	})
}

func TestAnAuthorizingAnswerGivesMetadataBeforeItIsHandedOver(t *testing.T) {
	store := meta.New(100)
	bubble(t, Config{Meta: store}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		counting(a)
		f.Authorize(source(1, 1), Request{}, func(Answer) {
			equal(t, "metadata", store.Get(1).JSON(), `{"last":"c1-1"}`)
		})
		synctest.Wait()
		a.serve = func(_ post, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Ws-Meta", "1")
			w.WriteHeader(403)
		}
		f.Authorize(source(2, 1), Request{}, func(Answer) {})
		synctest.Wait()
		equal(t, "of who is refused", store.Get(2).JSON(), "")
		f.Close(source(1, 2), End{Code: 1006})
		synctest.Wait()
		wantMetas(t, a, "-", "-", `{"last":"c1-1"}`)
	})
}

func TestBatchesAndPipelinesCarryMetadataAndTheirAnswersGiveNone(t *testing.T) {
	for _, cfg := range []Config{{Batch: 10, Linger: time.Second}, {Pipeline: 4, Concurrency: 1}} {
		store := meta.New(100)
		cfg.Meta = store
		bubble(t, cfg, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
			one, _ := store.Parse(`{"n":1}`)
			store.Put(1, []byte("c1"), one)
			a.serve = func(_ post, w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Ws-Meta", "2") }
			for seq := range 3 {
				f.Message(source(1, seq), []byte("1"), false)
				f.Message(source(2, seq), []byte("1"), false)
			}
			time.Sleep(time.Minute)
			n := 0
			for _, p := range a.received() {
				n += strings.Count(p.body, `,"conn_id":"c1","meta":{"n":1}`)
				if strings.Contains(p.body, `"c2","meta"`) {
					t.Error(p.body)
				}
			}
			equal(t, "events with metadata", n, 3)
			equal(t, "metadata", store.Get(1), one)
			equal(t, "memory left", f.pressure.held.Load(), 0)
		})
	}
}

func TestADeadLetterHasTheMetadataAndItsReplayCarriesIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dead.jsonl")
	store := meta.New(100)
	bubble(t, Config{Meta: store, DeadLetter: path}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		one, _ := store.Parse("{\n\"n\":1}")
		store.Put(1, []byte("c1"), one)
		a.serve = func(_ post, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(400) }
		f.Message(source(1, 1), []byte("1"), false)
		synctest.Wait()
		a.setDown(true)
		f.Message(source(1, 2), []byte("1"), false)
	})
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var letters []*deadletter.Letter
	for line := range strings.Lines(string(raw)) {
		l, err := deadletter.Parse([]byte(strings.TrimSpace(line)))
		if err != nil {
			t.Fatal(err)
		}
		letters = append(letters, l)
	}
	equal(t, "letters", len(letters), 2)
	bubble(t, Config{}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		for _, l := range letters {
			f.Redeliver(1, l)
		}
		synctest.Wait()
		wantMetas(t, a, `{ "n":1}`, `{ "n":1}`)
	})
}

func TestTheCloseEventOfALostConnectionHasTheMetadataThatWasRecorded(t *testing.T) {
	before := &memoryJournal{}
	store := meta.New(100)
	store.Changed = func(id []byte, number uint64, v *meta.Value) { before.Meta(id, number, []byte(v.JSON())) }
	bubble(t, Config{Journal: before, Meta: store}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		counting(a)
		f.Open(source(1, 1), Request{})
		synctest.Wait()
	})
	store = meta.New(100)
	bubble(t, Config{Journal: &memoryJournal{}, Meta: store}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		counting(a)
		if err := f.CloseLost(t.Context(), Restarted, before.lost()); err != nil {
			t.Error(err)
		}
		wantMetas(t, a, `{"last":"c1-1"}`)
		equal(t, "kept", store.Stats(), meta.Stats{})
		equal(t, "bytes held", f.Stats().Bytes, 0)
	})
}

func TestMetadataIsPartOfWhatIsSigned(t *testing.T) {
	// With a body of any size: above 32 KiB it is written on its own.
	for _, size := range []int{10, 100 << 10} {
		store := meta.New(100)
		bubble(t, Config{Meta: store, Secrets: []string{"s"}}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
			one, _ := store.Parse(`{"n":1}`)
			store.Put(1, []byte("c1"), one)
			var ok bool
			a.serve = func(p post, w http.ResponseWriter, r *http.Request) {
				ok = r.Header.Get("X-Ws-Signature") == signature([]string{"s"}, p.body, time.Now())
			}
			f.Message(source(1, 1), []byte(`"`+strings.Repeat("x", size)+`"`), false)
			synctest.Wait()
			wantMetas(t, a, `{"n":1}`)
			equal(t, "signature fits", ok, true)
		})
	}
}
