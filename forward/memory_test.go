package forward

import (
	"runtime"
	"testing"
)

func TestTheMemoryThatIsCountedIsTheMemoryThatIsHeld(t *testing.T) {
	for name, c := range map[string]struct{ lanes, events, size int }{
		"a lane each":   {30_000, 1, 20},
		"long lanes":    {300, 100, 20},
		"large events":  {100, 10, 10_000},
		"larger events": {100, 1, 100_000},
	} {
		f, err := New(Config{URL: "http://127.0.0.1:1/"}) // never started: everything waits
		if err != nil {
			t.Fatal(err)
		}
		data := make([]byte, c.size)
		before := heapInUse()
		for key := range c.lanes {
			for seq := range c.events {
				f.Message(source(key, seq), data, true)
			}
		}
		held, counted := heapInUse()-before, f.Stats().Bytes
		if ratio := float64(counted) / float64(held); ratio < 0.85 || ratio > 1.25 {
			t.Errorf("%s: %d bytes are held, %d counted", name, held, counted)
		}
		t.Logf("%s: %d bytes an event", name, counted/int64(c.lanes*c.events))
		runtime.KeepAlive(f)
	}
}
