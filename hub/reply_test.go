package hub

import (
	"testing"
	"testing/synctest"

	"ws-gateway/forward"
)

func TestOnlySoManyRepliesAreOnTheirWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r room
		entered := 0
		for range 5 {
			go func() {
				r.enter(3)
				entered++
			}()
			synctest.Wait()
		}
		if entered != 3 {
			t.Fatalf("%d are in, want 3", entered)
		}
		for want := 4; want <= 5; want++ {
			r.leave()
			synctest.Wait()
			if entered != want {
				t.Errorf("after one has left %d have been in, want %d", entered, want)
			}
		}
	})
}

func TestAReplyForAnUnknownLoopIsIgnored(t *testing.T) {
	sim := simulate(t, 1, Config{})
	sim.Reply(1<<63, forward.Reply{Body: []byte("x")})
	if sim.replies.used != 0 {
		t.Error("it holds a place")
	}
}
