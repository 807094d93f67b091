package hub

import (
	"context"
	"reflect"
	"testing"
	"testing/synctest"

	"ws-gateway/forward"
	"ws-gateway/netpoll"
)

func TestOnlySoManyRepliesAreOnTheirWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := make(replySlots, 3)
		entered := 0
		for range 5 {
			go func() {
				s.acquire(t.Context())
				entered++
			}()
			synctest.Wait()
		}
		if entered != 3 {
			t.Fatalf("%d are in, want 3", entered)
		}
		for want := 4; want <= 5; want++ {
			s.release()
			synctest.Wait()
			if entered != want {
				t.Errorf("after one has left %d have been in, want %d", entered, want)
			}
		}
	})
}

func TestWhoWaitsForRoomForAReplyIsLetGoWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := make(replySlots, 1)
		ctx, cancel := context.WithCancel(t.Context())
		ends := make(chan error, 3)
		for range 3 {
			go func() { ends <- s.acquire(ctx) }()
			synctest.Wait()
		}
		if len(ends) != 1 {
			t.Fatalf("%d are in, want 1", len(ends))
		}
		cancel()
		if first, second, third := <-ends, <-ends, <-ends; first != nil || second == nil || third == nil || len(s) != 1 {
			t.Errorf("%v, %v, %v; %d places are taken", first, second, third, len(s))
		}
		s.release()
		if err := s.acquire(ctx); err != nil {
			t.Errorf("with room: %v", err)
		}
	})
}

func TestAReplyForAnUnknownLoopIsIgnored(t *testing.T) {
	sim := simulate(t, 1, Config{})
	sim.Reply(1<<63, forward.Reply{Body: []byte("x")})
	if len(sim.replies) != 0 {
		t.Error("it holds a place")
	}
}

func TestASendWaitsForTheRepliesOfThoseItNames(t *testing.T) {
	type settled []uint64
	var got []settled
	h, err := New(Config{Settle: func(_ context.Context, keys ...uint64) { got = append(got, keys) }})
	if err != nil {
		t.Fatal(err)
	}
	h.loops = make([]*loopState, 1)
	public := func(n uint32) string { return string(h.instance.appendID(nil, netpoll.MakeID(0, n, 1))) }
	key := func(n uint32) uint64 { return uint64(netpoll.MakeID(0, n, 1)) }
	many := make([]string, settledConns+1)
	for i := range many {
		many[i] = public(uint32(i))
	}
	for _, c := range []struct {
		name    string
		targets Targets
		want    []settled
	}{
		{"one", Targets{Conn: public(1)}, []settled{{key(1)}}},
		{"several", Targets{Conn: public(1), Conns: []string{public(2), "garbage", public(3)}}, []settled{{key(1), key(2), key(3)}}},
		{"of some users", Targets{Conns: []string{public(2)}, Users: []string{"a"}, Owned: true}, []settled{{key(2)}}},
		{"besides users", Targets{Conns: []string{public(2)}, Users: []string{"a"}}, []settled{nil}},
		{"many", Targets{Conns: many}, []settled{nil}},
		{"users", Targets{Users: []string{"a"}}, []settled{nil}},
		{"all", Targets{All: true, Conn: public(1)}, []settled{nil}},
		{"groups", Targets{Groups: []string{"a"}, Conn: public(1)}, []settled{nil}},
		{"nobody of ours", Targets{Conns: []string{"garbage"}}, nil},
	} {
		got = nil
		h.awaitReplies(t.Context(), c.targets)
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: waited for %v, want %v", c.name, got, c.want)
		}
	}
}
