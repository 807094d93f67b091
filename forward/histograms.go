package forward

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// histograms count durations and sizes. Workers observe concurrently.
type histograms struct {
	attempts *prometheus.HistogramVec
	batches  prometheus.Histogram
}

// batchAction and authorizeAction are labels in the histogram of attempts, besides the
// names of actions.
const (
	batchAction     = "batch"
	authorizeAction = "authorize"
)

func newHistograms() histograms {
	return histograms{
		attempts: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "ws_gateway_callback_duration_seconds",
			Help:    "Duration of attempts to deliver an event, from connecting, where that is needed, to the app's decision, by action and outcome.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"action", "outcome"}),
		batches: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "ws_gateway_callback_batch_events",
			Help:    "Events in a batch, for each attempt to deliver it.",
			Buckets: []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000},
		}),
	}
}

// Collectors are the metrics that are not in Stats: the histograms.
func (f *Forwarder) Collectors() []prometheus.Collector {
	if f.cfg.Batch == 1 {
		return []prometheus.Collector{f.histograms.attempts}
	}
	return []prometheus.Collector{f.histograms.attempts, f.histograms.batches}
}

// attempted notes an attempt that has ended.
func (h *histograms) attempted(l *lane, o Outcome, took time.Duration) {
	action := l.head.action.String()
	switch {
	case l.auth != nil:
		action = authorizeAction
	case l.batch != nil:
		action = batchAction
		h.batches.Observe(float64(len(l.batch.tried)))
	}
	h.attempts.WithLabelValues(action, o.Label()).Observe(took.Seconds())
}
