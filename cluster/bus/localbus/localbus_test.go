package localbus

import (
	"fmt"
	"strings"
	"testing"

	"ws-gateway/cluster/bus"
)

var a, b, c, everybody = Instance{1}, Instance{2}, Instance{3}, Instance{}

// read is what has arrived, in a word for each event.
func read(b *Bus) string {
	var words []string
	for _, e := range b.Take(nil) {
		switch e.Kind {
		case bus.Packet:
			words = append(words, string(e.Data))
		case bus.Up:
			words = append(words, "up")
		case bus.Down:
			words = append(words, "down")
		case bus.Absent:
			words = append(words, fmt.Sprint("absent", e.From[0]))
		}
	}
	return strings.Join(words, " ")
}

func TestPacketsGoToOneOrToAllOthersInOrder(t *testing.T) {
	x := NewExchange()
	ba, bb, bc := x.Join(a), x.Join(b), x.Join(c)
	ba.Publish(b, []byte("1"))
	ba.Publish(everybody, []byte("2"))
	bc.Publish(b, []byte("3"))
	for bus, want := range map[*Bus]string{ba: "up", bb: "up 1 2 3", bc: "up 2"} {
		if got := read(bus); got != want {
			t.Errorf("%v: %q, want %q", bus.self, got, want)
		}
	}
	select {
	case <-bb.Wake():
	default:
		t.Error("nobody was woken")
	}
	if s := bb.Stats(); s.Received != 3 || s.ReceivedBytes != 3 || s.Unread != 0 || !s.Up {
		t.Errorf("%+v", s)
	}
}

func TestALinkThatIsDownCarriesNothing(t *testing.T) {
	x := NewExchange()
	ba, bb := x.Join(a), x.Join(b)
	bb.SetUp(false)
	if !ba.Publish(b, []byte("1")) || bb.Publish(a, []byte("2")) {
		t.Error("what was dropped, and what was not, is not said")
	}
	bb.SetUp(true)
	bb.SetUp(true)
	ba.Publish(b, []byte("3"))
	if got, want := read(bb), "up down up 3"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	bb.Close()
	ba.Publish(b, []byte("4"))
	if got, want := read(ba), "up absent2 absent2"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if s := bb.Stats(); s.Links != 2 || s.Refused != 1 || s.Up {
		t.Errorf("%+v", s)
	}
}

func TestAPacketHasTheFateThatItIsGiven(t *testing.T) {
	x := NewExchange()
	ba, bb := x.Join(a), x.Join(b)
	fates := map[string]Fate{"lost": IsLost, "twice": ComesTwice, "waits": Waits}
	x.SetFate(func(from, to Instance, packet []byte) Fate {
		if from != a || to != b {
			t.Error(from, to)
		}
		return fates[string(packet)]
	})
	for _, packet := range []string{"waits", "lost", "twice", "arrives"} {
		ba.Publish(b, []byte(packet))
	}
	if got, want := read(bb), "up twice twice arrives"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	x.Release()
	x.Release()
	if got, want := read(bb), "waits"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
