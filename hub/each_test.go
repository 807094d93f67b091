package hub

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"ws-gateway/forward"
	"ws-gateway/netpoll"
)

func TestEachGivesEveryOpenConnectionAsItsCloseEventHasIt(t *testing.T) {
	g := start(t, Config{}, netpoll.Config{Loops: 2})
	const n = 5
	for i := range n {
		g.dial(fmt.Sprint("user", i))
	}
	want := map[string]string{}
	for _, e := range g.opened()[:n] {
		want[e.id] = e.src.User
	}
	if len(want) != n {
		t.Fatalf("%d are open", len(want))
	}
	var mu sync.Mutex
	got, rooms := map[string]string{}, 0
	room := func(context.Context) error { rooms++; return nil }
	err := g.Each(t.Context(), room, func(src forward.Source) {
		mu.Lock()
		defer mu.Unlock()
		got[string(src.ConnID)] = src.User
	})
	if err != nil || rooms < 2 {
		t.Errorf("%v, %d times for room", err, rooms)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
	none := errors.New("no room")
	if err := g.Each(t.Context(), func(context.Context) error { return none }, func(forward.Source) { t.Error("one without room") }); !errors.Is(err, none) {
		t.Error(err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Each(over, func(context.Context) error { return nil }, func(forward.Source) {}); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
