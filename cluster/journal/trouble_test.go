package journal

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"ws-gateway/cluster/bus/natsbus/natstest"
)

// count is how many lines of a node's log have the text.
func (n *node) count(text string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Count(n.log.String(), text)
}

// user lets those who show no credentials do everything, and "reader" everything but publish
// on a subject.
func user(denied string) func(*server.Options) {
	return func(o *server.Options) {
		o.NoAuthUser = "any"
		reader := &server.User{Username: "reader", Password: "x", Permissions: &server.Permissions{Publish: &server.SubjectPermission{Allow: []string{">"}}}}
		if denied != "" {
			reader.Permissions.Publish.Deny = []string{denied}
		}
		o.Users = []*server.User{{Username: "any", Password: "x"}, reader}
	}
}

func TestThatTheJournalCannotBeReadIsNoReasonToSayThatItCannotBeWritten(t *testing.T) {
	s := jetStream(t, user("$JS.API.STREAM.MSG.GET.>"))
	a := startNode(t, s.URL(), 1)
	a.opened("1:x")
	b := startNode(t, strings.Replace(s.URL(), "://", "://reader:x@", 1), 2)
	b.opened("2:x")
	await(t, "what b says when it may not see what a has written", func() bool { return b.count("cannot be") > 0 })
	b.opened("2:y")
	if b.count("the cluster's journal cannot be read: ") != 1 || b.count("written") > 0 {
		t.Error("it says something else")
	}
	s.Change(user(""))
	await(t, "b to read", func() bool { return b.count("the cluster's journal is read again") == 1 })
}

func TestEachTroubleIsToldOnceAndWhatEndsItToo(t *testing.T) {
	n := &node{t: t}
	cfg := Config{App: "chat", DeadAfter: time.Second, Log: zerolog.New(n)}
	j := New(cfg)
	j.own.ledger = j.ledger(instance(1), &streams{})
	no := errors.New("no")
	for range 3 {
		j.failed(&j.reading, no)
		j.failed(&j.tidying, no)
		j.confirmed(time.Now())
	}
	for range 2 {
		j.failed(&j.writing, no)
		j.works(&j.reading)
		j.works(&j.tidying)
	}
	j.confirmed(time.Now())
	for text, want := range map[string]int{
		"cannot be read": 1, "is read again": 1, "cannot be written": 1, "is written again": 1, "cannot be removed": 1, "is removed": 1, "\n": 6,
	} {
		if got := n.count(text); got != want {
			t.Errorf("%q is in %d lines, want %d", text, got, want)
		}
	}
	if got := j.Stats().Failures; got != 8 {
		t.Errorf("%d failures, want 8", got)
	}
}

// Who retires looks after nobody any more: a writer that began then would have nobody to end it.
func TestNobodyIsTakenOverByAnInstanceThatRetires(t *testing.T) {
	s := jetStream(t)
	a := startNode(t, s.URL(), 1, patient)
	a.opened("1:x")
	a.die()
	n := &node{t: t, id: instance(2)}
	b := New(Config{
		App: "chat", DeadAfter: time.Second, Log: zerolog.New(n), Owner: a.cfg.Owner,
		Lost: func(context.Context, iter.Seq[Entry]) error { t.Error("close events are sent"); return nil },
	})
	b.self, b.run = n.id, n.id
	b.Retire()
	if err := b.takeOver(newStreams(t, stranger(t, s.URL())), a.id, a.own.ledger.last); err == nil || len(b.taken) != 0 {
		t.Errorf("%v, and %d writers", err, len(b.taken))
	}
}

// While an instance closes what another one has left, it may have to stop: what it has done is
// written, and nothing of it goes on.
func TestNothingOfATakeOverGoesOnAfterTheEnd(t *testing.T) {
	s := jetStream(t)
	a, b := startNode(t, s.URL(), 1, patient), startNode(t, s.URL(), 2)
	b.mu.Lock()
	b.refuse = true
	b.mu.Unlock()
	a.opened("1:x", "1:y")
	a.die()
	await(t, "b to take over", func() bool { return b.Stats().Takeovers == 1 })
	b.Closed([]byte("1:x"))
	b.Stop(false)
	if len(b.taken) != 1 {
		t.Fatalf("%d writers", len(b.taken))
	}
	select {
	case <-b.taken[a.id].ended:
	default:
		t.Error("its writer goes on")
	}
	c := startNode(t, s.URL(), 3)
	await(t, "c's close event", func() bool { return len(c.sent()) > 0 })
	if got := fmt.Sprint(c.sent()); got != "[1:y]" {
		t.Errorf("c has sent %s", got)
	}
}

// An operator's stream may allow that any replica answers, as one does that the command nats
// makes: one that lags behind would hide what others have appended. So the leader is asked, and
// what that takes is permitted.
func TestOnlyTheLeaderOfAStreamIsAsked(t *testing.T) {
	s := jetStream(t, user("$JS.API.DIRECT.>"))
	js := newStreams(t, stranger(t, s.URL())).js
	if err := js.DeleteStream(t.Context(), "wsg_chat"); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "wsg_chat", Subjects: []string{"wsg.chat.journal.*"}, AllowDirect: true}); err != nil {
		t.Fatal(err)
	}
	url := strings.Replace(s.URL(), "://", "://reader:x@", 1)
	a, b := startNode(t, url, 1), startNode(t, url, 2)
	a.opened("1:x", "1:y")
	a.Closed([]byte("1:y"))
	await(t, "all to be written", func() bool { return a.Stats().Waiting == 0 })
	a.die()
	await(t, "the close event", func() bool { return len(b.sent()) == 1 })
	await(t, "the subject to be empty", func() bool { return subjects(t, b) == 1 })
	if n := b.Stats().Failures; n > 0 {
		t.Errorf("%d failures", n)
	}
}

func TestWhatIsMissingForAJournalIsFoundOutWithoutChangingAnything(t *testing.T) {
	try := func(s *natstest.Server, user string) error {
		ctx, cancel := context.WithTimeoutCause(t.Context(), longest, errors.New("no answer"))
		defer cancel()
		ctx, stop := context.WithCancelCause(ctx)
		conn, err := nats.Connect(strings.Replace(s.URL(), "://", "://"+user, 1), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { stop(err) }))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := Try(ctx, conn, "chat"); err != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		} else {
			return err
		}
	}
	if err := try(natstest.Start(t, nil), ""); !errors.Is(err, nats.ErrNoResponders) && !errors.Is(err, jetstream.ErrJetStreamNotEnabled) {
		t.Errorf("without JetStream: %v", err)
	}
	s := jetStream(t, user(""))
	js, err := jetstream.New(stranger(t, s.URL()))
	if err != nil {
		t.Fatal(err)
	}
	for _, there := range []bool{false, true} {
		if there {
			if _, err := js.Stream(t.Context(), "wsg_chat"); !errors.Is(err, jetstream.ErrStreamNotFound) {
				t.Fatalf("it was made: %v", err)
			}
			a := startNode(t, s.URL(), 1, patient)
			a.opened("1:x")
		}
		for _, subject := range []string{"", "STREAM.INFO.", "STREAM.MSG.GET.", "STREAM.PURGE.", "STREAM.CREATE."} {
			denied := ""
			if subject != "" {
				denied = "$JS.API." + subject + "wsg_chat"
			}
			s.Change(user(denied))
			err := try(s, "reader:x@")
			if fine := denied == "" || there && subject == "STREAM.CREATE."; fine && err != nil || !fine && (!errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(err.Error(), denied)) {
				t.Errorf("without %q, stream there: %v: %v", denied, there, err)
			}
		}
	}
	if stream, err := js.Stream(t.Context(), "wsg_chat"); err != nil || stream.CachedInfo().State.Msgs == 0 {
		t.Errorf("it is not what it was: %v", err)
	}
}

// An operator may remove the stream, or its disk is lost. Nobody takes that for a
// take-over. (What is open comes from Config.Again, which has nothing here.)
func TestAStreamThatIsRemovedIsMadeAgainAndNobodyEndsForIt(t *testing.T) {
	s := jetStream(t)
	a, b := startNode(t, s.URL(), 1, patient), startNode(t, s.URL(), 2, patient)
	a.opened("1:x")
	b.opened("2:x")
	js, err := jetstream.New(stranger(t, s.URL()))
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), "wsg_chat"); err != nil {
		t.Fatal(err)
	}
	a.opened("1:y")
	b.opened("2:y")
	await(t, "both to be sure", func() bool { return a.Sure() && b.Sure() })
	a.die()
	await(t, "the close event", func() bool { return len(b.sent()) == 1 })
	await(t, "the subject to be empty", func() bool { return subjects(t, b) == 1 })
	if got := fmt.Sprint(b.sent()); got != "[1:y]" {
		t.Errorf("b has sent %s", got)
	}
	if len(a.fences)+len(b.fences) > 0 {
		t.Error("one has ended")
	}
}
