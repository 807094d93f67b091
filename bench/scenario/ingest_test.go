package scenario

import (
	"testing"
	"time"

	"ws-gateway/bench/sink"
)

func TestIngestComparesWithTheBareClient(t *testing.T) {
	i := ingest{conns: 1_000, batch: 1, load: Traffic{Size: 64}}
	r := recorded(100_000, time.Millisecond)
	seen := forwarding{events: 120_000, posts: 120_000, bytes: 36_000_000}
	bare := forwarding{events: 200_000, posts: 200_000, bytes: 60_000_000, cost: cost{cpu: 4 * time.Second}, elapsed: 2 * time.Second}
	s := stage{Env: &Env{}}
	i.figures(&s, r, []cost{{cpu: 3 * time.Second}, {cpu: time.Second}}, 5, seen, bare)
	has(t, s.outcome, map[string]float64{
		"gateway CPU, a million":                      30,
		"bare fasthttp client CPU, a million":         20,
		"gateway CPU, of a bare client's":             1.5,
		"gateway CPU of the rest, a million":          25,
		"gateway CPU of the rest, of a bare client's": 1.25,
		"bytes of a POST, of a bare client's":         1,
		"events in a POST":                            1,
		"gateway CPU of reading alone, a million":     5,
	})
	i.batch, seen.posts = 100, 1_200
	s = stage{Env: &Env{}}
	i.figures(&s, r, []cost{{cpu: time.Second}, {}}, 5, seen, forwarding{})
	has(t, s.outcome, map[string]float64{"gateway CPU of the rest, a million": 5, "events in a POST": 100})
	if got := figure(s.outcome, "gateway CPU, of a bare client's"); got.Name != "" {
		t.Errorf("batches are compared with one POST each: %+v", got)
	}
}

func TestAnAppThatSawSomethingWrongEndsTheRound(t *testing.T) {
	for _, wrong := range []sink.Stats{{Open: 10, Failed: 1}, {Open: 10, Close: 1}, {Open: 11}} {
		if right(wrong, 10) == nil {
			t.Errorf("%+v was taken", wrong)
		}
	}
	if err := right(sink.Stats{Open: 9, Message: 5}, 10); err != nil {
		t.Error(err)
	}
}
