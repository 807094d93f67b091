package forward

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// observed returns count and sum of each histogram, by action and outcome where
// it has these labels.
func observed(t *testing.T, f *Forwarder) map[string][2]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(f.Collectors()...)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][2]float64)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := "batches"
			if l := m.GetLabel(); len(l) == 2 {
				name = l[0].GetValue() + " " + l[1].GetValue()
			}
			all[name] = [2]float64{float64(m.GetHistogram().GetSampleCount()), m.GetHistogram().GetSampleSum()}
		}
	}
	return all
}

func TestAttemptsAreTimedByActionAndOutcome(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, f *Forwarder, a *fakeApp, _ *logBuffer) {
		a.serve = func(p post, w http.ResponseWriter, _ *http.Request) {
			time.Sleep(2 * time.Second)
			if p.attempt == 1 && p.id == "c1-1" {
				w.WriteHeader(503)
			}
		}
		f.Open(source(1, 0), Request{})
		f.Message(source(1, 1), []byte("1"), false)
		time.Sleep(time.Minute)
		synctest.Wait()
		got := observed(t, f)
		equal(t, "open", got["open delivered"], [2]float64{1, 2})
		equal(t, "busy", got["message "+Unavailable.Label()], [2]float64{1, 2})
		equal(t, "message", got["message delivered"], [2]float64{1, 2})
		equal(t, "histograms", len(got), 3)
	})
}

func TestBatchesAreCountedBySize(t *testing.T) {
	bubble(t, Config{Batch: 3, Linger: time.Second}, func(t *testing.T, f *Forwarder, _ *fakeApp, _ *logBuffer) {
		for key := range 4 {
			f.Message(source(key, 0), []byte("1"), false)
			synctest.Wait()
		}
		time.Sleep(time.Minute)
		got := observed(t, f)
		equal(t, "batches", got["batches"], [2]float64{2, 4})
		equal(t, "attempts", got["batch delivered"][0], 2)
	})
}
