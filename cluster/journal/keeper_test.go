package journal

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"ws-gateway/cluster/packet"
)

// Who was silent just before JetStream was away may live, and need a moment to be back.
func TestTimeInWhichNobodyCouldLookIsNoSilence(t *testing.T) {
	s := jetStream(t)
	a, b := startNode(t, s.URL(), 1, unhurried), startNode(t, s.URL(), 2, unhurried)
	a.opened("1:x")
	look := newStreams(t, stranger(t, s.URL()))
	suspects := map[packet.Instance]suspect{}
	is := func(when string, want bool) {
		t.Helper()
		dead, err := b.look(look, suspects)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(dead) == 1; got != want {
			t.Errorf("%s: %v is dead of %v", when, dead, suspects)
		}
	}
	later := func(by time.Duration) {
		known := suspects[a.id]
		known.seen = known.seen.Add(-by)
		suspects[a.id] = known
	}
	is("at first", false)
	later(9 * time.Minute)
	is("nearly", false)
	later(9 * time.Minute)
	blind(suspects)
	is("after nobody could look", false)
	later(2 * time.Minute)
	is("after that", true)
	a.opened("1:y")
	is("as it has written", false)
}

func TestAStreamThatForgetsIsToldOf(t *testing.T) {
	for _, c := range []struct {
		cfg  jetstream.StreamConfig
		want string
	}{
		{jetstream.StreamConfig{}, ""},
		{jetstream.StreamConfig{MaxBytes: -1, MaxMsgs: -1, MaxMsgsPerSubject: -1}, ""},
		{jetstream.StreamConfig{MaxBytes: 1 << 20, Discard: jetstream.DiscardNew}, ""},
		{jetstream.StreamConfig{MaxMsgsPerSubject: 9, Discard: jetstream.DiscardNew, DiscardNewPerSubject: true}, ""},
		{jetstream.StreamConfig{MaxBytes: 1 << 20}, "discard"},
		{jetstream.StreamConfig{MaxMsgs: 9}, "discard"},
		{jetstream.StreamConfig{MaxMsgsPerSubject: 9, Discard: jetstream.DiscardNew}, "max_msgs_per_subject"},
		{jetstream.StreamConfig{MaxAge: time.Hour, Discard: jetstream.DiscardNew}, "max_age"},
		{jetstream.StreamConfig{Retention: jetstream.InterestPolicy}, "retention"},
	} {
		if got := forgets(c.cfg); got != c.want {
			t.Errorf("%+v: %q, want %q", c.cfg, got, c.want)
		}
	}
	s := jetStream(t)
	a := startNode(t, s.URL(), 1)
	a.opened("1:x")
	js := newStreams(t, stranger(t, s.URL())).js
	stream, err := js.Stream(t.Context(), "wsg_chat")
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	cfg.MaxAge = time.Hour
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	await(t, "it to be told", func() bool { return a.count("removes messages by itself") == 1 })
}
