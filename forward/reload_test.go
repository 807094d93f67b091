package forward

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"ws-gateway/forward/deadletter"
	"ws-gateway/forward/headers"
)

func reload(t *testing.T, f *Forwarder, change func(*Config)) {
	t.Helper()
	cfg := f.cfg
	cfg.URL = "http://app/hook?token=secret"
	change(&cfg)
	apply, err := f.Reload(cfg)
	if err != nil {
		t.Fatal(err)
	}
	apply()
}

// mutable is what Reload says it takes over, with another value and how to see it.
var mutable = map[string]struct {
	value any
	shown func(*Forwarder) any
}{
	"URL":               {"http://app:81/other", func(f *Forwarder) any { return f.terms.Load().route.url }},
	"TLS":               {&tls.Config{ServerName: "app"}, func(f *Forwarder) any { return f.terms.Load().route.config }},
	"Headers":           {[]headers.Field{{Name: "X-Key", Value: "7"}}, func(f *Forwarder) any { return f.terms.Load().target }},
	"Secrets":           {[]string{"other"}, func(f *Forwarder) any { return fmt.Sprint(f.terms.Load().secrets) }},
	"Timeout":           {7 * time.Second, func(f *Forwarder) any { return f.terms.Load().timeout }},
	"AuthorizeFor":      {7 * time.Second, func(f *Forwarder) any { return f.terms.Load().authorizeFor }},
	"RetryFor":          {7 * time.Second, func(f *Forwarder) any { return f.pool.sched.window }},
	"QueueEvents":       {7, func(f *Forwarder) any { return f.lanes.limits().events }},
	"QueueBytes":        {7, func(f *Forwarder) any { return f.lanes.limits().bytes }},
	"Memory":            {int64(7), func(f *Forwarder) any { return f.pressure.limit.Load() }},
	"JSONDepth":         {7, func(f *Forwarder) any { return f.events.depth() }},
	"ReplyMax":          {7, func(f *Forwarder) any { return [...]any{f.terms.Load().replyMax, f.replies.limit.Load()} }},
	"Linger":            {7 * time.Second, func(f *Forwarder) any { return f.pool.sched.linger }},
	"DeadLetterMaxSize": {int64(200), lettersKept},
	"DeadLetterKeep":    {7, lettersKept},
}

// lettersKept is how many bytes of many letters the files have that Config bounds.
func lettersKept(f *Forwarder) any {
	sizes := int64(0)
	files := func() []string {
		names, _ := filepath.Glob(f.cfg.DeadLetter + "*")
		return names
	}
	for _, name := range files() {
		_ = os.Remove(name)
	}
	for range 100 {
		f.letters.Write(&deadletter.Event{Action: "open", Body: []byte("{}")}, time.Now())
	}
	for _, name := range files() {
		if info, err := os.Stat(name); err == nil {
			sizes += info.Size() / 100 * 100 // times differ in length
		}
	}
	return sizes
}

func TestEveryFieldOfTheConfigurationIsReloadedOrSaidToBeStatic(t *testing.T) {
	static := []string{
		"Concurrency", "DeadLetter", "Epoch", "Instance", "Journal", "Done", "Batch", "Pipeline",
		"Clock", "Reply", "Regroup", "Meta", "Settles", "Drained", "Pressure", "Log",
	}
	fields := reflect.TypeFor[Config]()
	for i := range fields.NumField() {
		name := fields.Field(i).Name
		m, ok := mutable[name]
		switch {
		case ok == slices.Contains(static, name):
			t.Errorf("%s: is it reloaded?", name)
			continue
		case !ok:
			continue
		}
		f, err := New(Config{URL: "http://app/hook?token=secret", DeadLetter: filepath.Join(t.TempDir(), "letters"), DeadLetterMaxSize: 1 << 10, Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		before := m.shown(f)
		reload(t, f, func(cfg *Config) { reflect.ValueOf(cfg).Elem().Field(i).Set(reflect.ValueOf(m.value)) })
		if after := m.shown(f); reflect.DeepEqual(before, after) {
			t.Errorf("%s: it is still %v", name, after)
		}
		f.Drain(ended())
	}
}

func TestAReloadThatIsWrongChangesNothing(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		before := f.terms.Load()
		for _, cfg := range []Config{{}, {URL: "ftp://app"}, {URL: "http://app", Secrets: []string{""}}, {URL: "http://app", Memory: -1}} {
			if _, err := f.Reload(cfg); err == nil {
				t.Errorf("%+v is taken", cfg)
			}
		}
		if f.terms.Load() != before {
			t.Error("something has changed")
		}
	})
}

// An event that waits for its next attempt goes out by the new configuration.
func TestWhatWaitsIsSentByTheNewConfiguration(t *testing.T) {
	bubble(t, Config{Secrets: []string{"old"}, Headers: []headers.Field{{Name: "X-Key", Value: "old"}}}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		var mu sync.Mutex
		var keys []string
		signatures := map[string]bool{}
		a.serve = func(p post, w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			keys = append(keys, r.Header.Get("X-Key"))
			signatures[r.Header.Get("X-Ws-Signature")] = true
			if len(keys) == 1 {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}
		f.Message(source(1, 0), []byte("1"), false)
		synctest.Wait()
		reload(t, f, func(cfg *Config) {
			cfg.Secrets, cfg.Headers = []string{"new"}, []headers.Field{{Name: "X-Key", Value: "new"}}
		})
		time.Sleep(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if want := []string{"old", "new"}; !slices.Equal(keys, want) || len(signatures) != 2 {
			t.Errorf("keys %v, signatures %v", keys, signatures)
		}
		for got := range signatures {
			at, _, _ := strings.Cut(strings.TrimPrefix(got, "t="), ",")
			var seconds int64
			fmt.Sscan(at, &seconds)
			if got == signature([]string{"new"}, a.received()[1].body, time.Unix(seconds, 0)) {
				return
			}
		}
		t.Error("nothing is signed with the new secret")
	})
}

func TestAnotherCertificateTakesEffectWithTheNextConnectionAndIdleOnesAreClosed(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		// Of two events the second finds the first one's connection still in use.
		one := make(chan struct{})
		all, release := context.WithCancel(t.Context())
		a.serve = func(p post, w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(p.id, "c2-") {
				select {
				case <-one:
				case <-all.Done():
				}
			}
		}
		f.Message(source(2, 0), []byte("1"), false) // is under way
		synctest.Wait()
		f.Message(source(1, 0), []byte("1"), false)
		synctest.Wait()
		connected := func() (n int) {
			f.pool.mu.Lock()
			defer f.pool.mu.Unlock()
			return len(f.pool.warm)
		}
		equal(t, "idle connections", connected(), 1)
		reload(t, f, func(cfg *Config) { cfg.TLS = new(tls.Config) })
		synctest.Wait()
		equal(t, "idle connections", connected(), 0)
		one <- struct{}{}
		synctest.Wait()
		equal(t, "idle connections", connected(), 0)
		equal(t, "delivered", f.Stats().Delivered[actionMessage], 2)
		f.Message(source(2, 1), []byte("1"), false)
		synctest.Wait()
		f.Message(source(1, 1), []byte("1"), false)
		synctest.Wait()
		release()
		synctest.Wait()
		equal(t, "delivered", f.Stats().Delivered[actionMessage], 4)
		equal(t, "connections made", len(a.dials), 4)
		reload(t, f, func(cfg *Config) { cfg.TLS, cfg.Timeout = f.terms.Load().route.config, time.Second })
		synctest.Wait()
		equal(t, "idle connections after a reload of something else", connected(), 2)
	})
}

func TestAnotherURLIsTriedAtOnceByWhatTheAppBeforeDidNotTake(t *testing.T) {
	bubble(t, Config{RetryFor: time.Hour}, func(t *testing.T, f *Forwarder, a *fakeApp, log *logBuffer) {
		a.setDown(true)
		f.Message(source(1, 0), []byte("1"), false)
		time.Sleep(time.Minute)
		a.setDown(false)
		reload(t, f, func(cfg *Config) { cfg.URL = "http://other/hook" })
		synctest.Wait()
		equal(t, "delivered", f.Stats().Delivered[actionMessage], 1)
		equal(t, "app", f.Health().App, "http://other/hook")
	})
}

func TestBoundsAndTimesOfAReloadCountFromNowOn(t *testing.T) {
	var mu sync.Mutex
	drained, pressed := 0, []Level(nil)
	cfg := Config{RetryFor: time.Hour, QueueEvents: 4}
	cfg.Drained = func(uint64) { mu.Lock(); drained++; mu.Unlock() }
	cfg.Pressure = func(l Level) { mu.Lock(); pressed = append(pressed, l); mu.Unlock() }
	bubble(t, cfg, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		f.cfg.Memory = 1 << 20
		a.serve = func(_ post, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }
		full := false
		for seq := range 4 {
			full = f.Message(source(1, seq), []byte("1"), false)
		}
		equal(t, "full", full, true)
		synctest.Wait()
		reload(t, f, func(cfg *Config) { cfg.QueueEvents, cfg.RetryFor, cfg.Memory = 100, 10*time.Second, 500 })
		equal(t, "another connection is over its share", f.Message(source(2, 0), []byte("1"), false), true)
		synctest.Wait()
		mu.Lock()
		equal(t, "pressure", fmt.Sprint(pressed), fmt.Sprint([]Level{Full}))
		mu.Unlock()
		time.Sleep(time.Minute)
		s := f.Stats()
		equal(t, "events that were not attempted before have failed, those that were have not", s.Failed[actionMessage], 1)
		equal(t, "waiting", s.Events, 4)
		time.Sleep(2 * time.Hour)
		mu.Lock()
		defer mu.Unlock()
		equal(t, "drained", drained, 2)
		equal(t, "pressure", fmt.Sprint(pressed), fmt.Sprint([]Level{Full, Relaxed}))
	})
}
