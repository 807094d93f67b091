package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// openOnes are the connections that are open at a node.
type openOnes struct {
	mu   sync.Mutex
	node *node
	ids  []string
}

func (o *openOnes) open(ids ...string) {
	o.mu.Lock()
	o.ids = append(o.ids, ids...)
	o.mu.Unlock()
	o.node.opened(ids...)
}

// again is Config.Again.
func (o *openOnes) again(ctx context.Context, room func(context.Context) error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, id := range o.ids {
		if err := room(ctx); err != nil {
			return err
		}
		o.node.Opened([]byte(id), []byte("state of "+id), func() {})
	}
	return nil
}

func TestWhatIsOpenIsRecordedAgainIfTheStreamIsLost(t *testing.T) {
	s := jetStream(t)
	open := new(openOnes)
	a := startNode(t, s.URL(), 1, patient, func(cfg *Config) { cfg.Again = open.again })
	open.node = a
	open.open("1:x", "1:y", "1:z")
	a.opened("1:ends", "1:ended")
	for _, id := range []string{"1:ends", "1:ended"} { // no longer among those that are open
		a.Ending([]byte(id), func() { a.Opened([]byte(id), []byte("state of "+id), func() {}) })
	}
	a.Closed([]byte("1:ended"))
	await(t, "all to be written", func() bool { return a.Stats().Waiting == 0 })
	want := []string{"1:ends", "1:x", "1:y", "1:z"}
	for i := range 2 {
		if err := newStreams(t, stranger(t, s.URL())).js.DeleteStream(t.Context(), "wsg_chat"); err != nil {
			t.Fatal(err)
		}
		later := fmt.Sprint("1:later", i)
		open.open(later)
		want = slices.Sorted(slices.Values(append(want, later)))
		await(t, "all to be recorded again", func() bool {
			ids, _ := a.recorded()
			return slices.Equal(ids, want)
		})
		if n := a.Stats().Losses; n != uint64(i+1) {
			t.Errorf("%d losses", n)
		}
	}
	if n := a.count("is lost"); n != 2 {
		t.Errorf("it is told %d times", n)
	}
	if len(a.fences) > 0 {
		t.Error("it was fenced")
	}
	a.Closed([]byte("1:ends"))
	await(t, "all to be written", func() bool { return a.Stats().Waiting == 0 })
	a.die()
	b := startNode(t, s.URL(), 2)
	await(t, "the close events", func() bool { return len(b.sent()) == 5 })
}

// An operator may purge it. While nobody can have taken over that is no take-over.
func TestWhatIsOpenIsRecordedAgainIfTheStreamIsPurged(t *testing.T) {
	s := jetStream(t)
	for _, keep := range []uint64{0, 1} {
		open := new(openOnes)
		a := startNode(t, s.URL(), 1, unhurried, func(cfg *Config) { cfg.Again = open.again })
		open.node = a
		open.open("1:x", "1:y")
		a.opened("1:closed")
		stream, err := newStreams(t, stranger(t, s.URL())).js.Stream(t.Context(), "wsg_chat")
		if err != nil {
			t.Fatal(err)
		}
		if keep > 0 { // what is behind its last append stays
			publish(t, stranger(t, s.URL()), nats.NewMsg("wsg.chat.journal."+a.id.String()))
		}
		if err := stream.Purge(t.Context(), jetstream.WithPurgeKeep(keep)); err != nil {
			t.Fatal(err)
		}
		a.Closed([]byte("1:closed"))
		open.open("1:z")
		await(t, "all to be recorded again", func() bool {
			ids, _ := a.recorded()
			return slices.Equal(ids, []string{"1:x", "1:y", "1:z"})
		})
		if len(a.fences) > 0 || a.Stats().Losses != 1 || a.count("is lost") != 1 {
			t.Errorf("fenced %d times, %d losses", len(a.fences), a.Stats().Losses)
		}
		a.die()
		b := startNode(t, s.URL(), 2)
		await(t, "the close events", func() bool { return len(b.sent()) == 3 })
		await(t, "the subject to be empty", func() bool { return subjects(t, b) == 1 })
		b.Stop(true)
	}
}

// The last append stays, so that none is refused.
func TestWhatIsOpenIsRecordedAgainIfTheBeginningIsPurged(t *testing.T) {
	t.Parallel()
	s := jetStream(t)
	open := new(openOnes)
	a := startNode(t, s.URL(), 1, patient, func(cfg *Config) { cfg.Again = open.again })
	open.node = a
	want := []string{"1:0", "1:1", "1:2", "1:3", "1:4"}
	for _, id := range want { // in a message each
		open.open(id)
		await(t, "it to be written", func() bool { return a.Stats().Waiting == 0 })
	}
	stream, err := newStreams(t, stranger(t, s.URL())).js.Stream(t.Context(), "wsg_chat")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSubject("wsg.chat.journal."+a.id.String()), jetstream.WithPurgeKeep(1)); err != nil {
		t.Fatal(err)
	}
	await(t, "all to be recorded again", func() bool {
		ids, _ := a.recorded()
		return slices.Equal(ids, want)
	})
	open.open("1:5")
	until := a.appends.Load() + 4 // some looks later, at what goes on as ever
	await(t, "looks", func() bool { return a.appends.Load() >= until })
	if n := a.count("is lost"); n != 1 || a.Stats().Losses != 1 || len(a.fences) > 0 {
		t.Errorf("it is told %d times; %d losses; fenced %d times", n, a.Stats().Losses, len(a.fences))
	}
	a.die()
	b := startNode(t, s.URL(), 2)
	await(t, "the close events", func() bool { return len(b.sent()) == 6 })
}

func TestWhatTheInstanceRemovesItselfIsNoLoss(t *testing.T) {
	t.Parallel()
	s := jetStream(t)
	a := startNode(t, s.URL(), 1, func(cfg *Config) { cfg.DeadAfter = 500 * time.Millisecond }) // looks at it often
	for n := 0; a.Stats().Compactions < 3; n++ {
		id := fmt.Sprint("1:", n)
		a.opened(id)
		a.Closed([]byte(id))
		if n%50 == 0 {
			await(t, "it to be written", func() bool { return a.Stats().Waiting == 0 })
		}
	}
	until := a.appends.Load() + 4
	await(t, "looks", func() bool { return a.appends.Load() >= until })
	if n := a.Stats().Losses; n > 0 {
		t.Errorf("%d losses", n)
	}
}

// A server whose host has failed may have lost what it had not yet synced.
func TestWhatIsOpenIsRecordedAgainIfTheStreamHasLostItsEnd(t *testing.T) {
	folder, before := t.TempDir(), t.TempDir()
	s := jetStream(t, func(o *server.Options) { o.StoreDir = folder })
	open := new(openOnes)
	a := startNode(t, s.URL(), 1, func(cfg *Config) { cfg.Again, cfg.DeadAfter = open.again, 100*time.Millisecond })
	open.node = a
	open.open("1:x")
	a.opened("1:closed")
	s.Stop()
	if err := os.CopyFS(before, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	s.Restart()
	a.Closed([]byte("1:closed"))
	open.open("1:y")
	s.Stop()
	if err := errors.Join(os.RemoveAll(folder), os.CopyFS(folder, os.DirFS(before))); err != nil {
		t.Fatal(err)
	}
	s.Restart()
	await(t, "what was lost to be recorded again", func() bool { return a.Stats().Losses == 1 || len(a.fences) > 0 })
	await(t, "all to be recorded again", func() bool {
		ids, _ := a.recorded()
		return slices.Equal(ids, []string{"1:x", "1:y"})
	})
	if len(a.fences) > 0 {
		t.Error("it was fenced")
	}
}

// Only so much waits to be written again as there is room for.
func TestRecordingAgainWaitsForWhatIsWritten(t *testing.T) {
	s := jetStream(t)
	most := 0
	var a *node
	a = startNode(t, s.URL(), 1, patient, func(cfg *Config) {
		cfg.Again = func(ctx context.Context, room func(context.Context) error) error {
			for i := range 64 {
				if err := room(ctx); err != nil {
					return err
				}
				most = max(most, a.own.bytes())
				a.Opened(fmt.Append(nil, "1:", i), []byte(strings.Repeat("x", 32<<10)), func() {})
			}
			return nil
		}
	})
	a.opened("1:first")
	if err := newStreams(t, stranger(t, s.URL())).js.DeleteStream(t.Context(), "wsg_chat"); err != nil {
		t.Fatal(err)
	}
	a.opened("1:second")
	await(t, "all to be recorded again", func() bool { ids, _ := a.recorded(); return len(ids) == 65 })
	a.die()
	if most > maxBatch {
		t.Errorf("%d bytes wait", most)
	}
}

func TestTheNextRunRecordsWhatIsOpenIfItsSubjectIsLost(t *testing.T) {
	for _, lost := range []bool{true, false} { // or it was never written
		s := jetStream(t)
		place := Place{Writer: instance(1)}
		if lost {
			first := startNode(t, s.URL(), 1)
			first.opened("1:x")
			first.Stop(false)
			place = first.Place()
			if err := newStreams(t, stranger(t, s.URL())).js.DeleteStream(t.Context(), "wsg_chat"); err != nil {
				t.Fatal(err)
			}
		}
		open := &openOnes{ids: []string{"1:x"}}
		ready, start := context.WithCancel(t.Context())
		next := startRun(t, s.URL(), 1, second, &place, patient, func(cfg *Config) {
			cfg.Again = func(ctx context.Context, room func(context.Context) error) error {
				<-ready.Done()
				return open.again(ctx, room)
			}
		})
		open.node = next
		start()
		await(t, "it to be recorded", func() bool {
			if next.Stats().Records == 0 {
				return false
			}
			ids, _ := next.recorded()
			return slices.Equal(ids, []string{"1:x"})
		})
		if told := next.count("is lost") == 1; told != lost {
			t.Errorf("lost: %v, told: %v", lost, told)
		}
	}
}
