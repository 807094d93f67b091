package journal

import (
	"slices"
	"testing"
	"time"

	"ws-gateway/cluster/packet"
)

var second = packet.Instance{0xb0} // the number of a second run

func TestTheNextRunGoesOnWhereOneHasLeft(t *testing.T) {
	s := jetStream(t)
	first := startNode(t, s.URL(), 1)
	first.opened("1:x", "1:y", "1:z")
	first.Closed([]byte("1:y"))
	first.Stop(false)
	place := first.Place()
	next := startRun(t, s.URL(), 1, second, &place)
	if next.Sure() {
		t.Error("it is sure before it has appended anything")
	}
	sent := make(chan struct{})
	if !next.HoldBack([]byte("1:x"), func() { close(sent) }) {
		t.Error("a close event is not held back")
	}
	next.opened("1:w")
	<-sent
	next.Closed([]byte("1:x"))
	await(t, "all to be written", func() bool { return next.Stats().Waiting == 0 })
	await(t, "what is closed to be removed", func() bool { return next.Stats().Compactions == 1 })
	next.die()
	survivor := startNode(t, s.URL(), 2)
	want := []string{"1:w", "1:z"}
	await(t, "the close events", func() bool { return len(survivor.sent()) >= len(want) })
	if got := survivor.sent(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	select {
	case <-next.fences:
		t.Error("the next run was fenced while it lived")
	default:
	}
}

func TestTheNextRunIsFencedIfASurvivorHasTakenOver(t *testing.T) {
	for _, done := range []bool{true, false} {
		s := jetStream(t)
		first := startNode(t, s.URL(), 1)
		first.opened("1:x")
		first.Stop(false)
		place := first.Place()
		survivor := startNode(t, s.URL(), 2)
		survivor.mu.Lock()
		survivor.refuse = !done
		survivor.mu.Unlock()
		await(t, "the take-over", func() bool { return survivor.Stats().Takeovers == 1 })
		if done {
			await(t, "the subject to be empty", func() bool { return len(survivor.sent()) == 1 && subjects(t, survivor) == 1 })
		}
		next := startRun(t, s.URL(), 1, second, &place)
		if !next.HoldBack([]byte("1:x"), func() { t.Error("a close event was sent") }) {
			t.Error("a close event is not held back")
		}
		select {
		case <-next.fences:
		case <-time.After(longest):
			t.Fatalf("done %v: nobody says that it was taken over", done)
		}
	}
}

func TestTheNextRunGoesOnInAStreamThatIsNew(t *testing.T) {
	s := jetStream(t)
	first := startNode(t, s.URL(), 1)
	first.opened("1:x")
	first.Stop(false)
	place := first.Place()
	other := startNode(t, s.URL(), 2, func(cfg *Config) { cfg.DeadAfter = longest })
	other.opened("2:x")
	if err := other.own.ledger.streams.js.DeleteStream(t.Context(), "wsg_chat"); err != nil {
		t.Fatal(err)
	}
	next := startRun(t, s.URL(), 1, second, &place)
	next.opened("1:y")
	await(t, "the next run to be sure", next.Sure) // it is not for long, on a busy machine
}

func TestTheNextRunOfOneThatHasWrittenNothingBegins(t *testing.T) {
	s := jetStream(t)
	next := startRun(t, s.URL(), 1, second, &Place{Writer: instance(1)})
	next.opened("1:x")
}
