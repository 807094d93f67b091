package forward

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
)

func TestAnAnswerOfWhichOnlyTheStatusCanBeReadIsCountedAndSaidOnce(t *testing.T) {
	var got []string
	for _, c := range []struct {
		name      string
		cfg       Config
		status    int
		delivered int
	}{
		{"nothing more is wanted", Config{}, 200, 2},
		{"a reply", Config{Reply: recorded(&got).Reply}, 200, 2},
		{"groups", Config{Regroup: recorded(&got).Regroup}, 201, 2},
		{"part of a batch", Config{Batch: 2}, 200, 2},
		{"a refusal", Config{}, 400, 0},
	} {
		bubble(t, c.cfg, func(t *testing.T, f *Forwarder, a *fakeApp, log *logBuffer) {
			a.serve = func(_ post, w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Ws-Join", "a")
				w.Header().Set("X-Ws-Batch", "partial")
				w.Header().Set("X-Other", strings.Repeat("x", 8<<10))
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, `{"failed":[]}`)
			}
			f.Message(source(7, 1), []byte("1"), false)
			synctest.Wait()
			f.Message(source(7, 2), []byte("1"), false)
			synctest.Wait()
			stats := f.Stats()
			equal(t, c.name+": unreadable", stats.HeadsUnreadable, 2)
			equal(t, c.name+": logged", log.count("an answer's head is"), 1)
			equal(t, c.name+": the status is in the log", log.count(fmt.Sprintf(`"status":%d`, c.status)) > 0, true)
			equal(t, c.name+": delivered", int(stats.Delivered[actionMessage]), c.delivered)
			equal(t, c.name+": done", len(got), 0)
		})
	}
}
