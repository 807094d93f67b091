package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"ws-gateway/hub"
	"ws-gateway/netpoll"
)

// socketHistograms are kept by netpoll.
var socketHistograms = []struct {
	desc *prometheus.Desc
	of   func(*netpoll.Stats) *netpoll.Histogram
}{
	{
		NewDesc("handshake_duration_seconds", "Time from accepting a connection to its upgrade, the app's decision included where it is asked."),
		func(s *netpoll.Stats) *netpoll.Histogram { return &s.Handshakes },
	},
	{
		NewDesc("loop_turn_duration_seconds", "Duration of the event loops' turns, without waiting: while one lasts nobody else on that loop is served."),
		func(s *netpoll.Stats) *netpoll.Histogram { return &s.TurnTimes },
	},
}

func collectHistograms(s *netpoll.Stats, out chan<- prometheus.Metric) {
	for _, h := range socketHistograms {
		from := h.of(s)
		count, buckets := uint64(0), make(map[float64]uint64, len(from.Buckets))
		for i, n := range from.Buckets {
			count += n
			if i < len(from.Buckets)-1 { // the last one has no bound
				buckets[netpoll.UpperBound(i).Seconds()] = count
			}
		}
		out <- prometheus.MustNewConstHistogram(h.desc, count, from.Sum.Seconds(), buckets)
	}
}

var closes = NewDesc("connections_closed_total", "WebSocket connections that ended, by who ended them and with which close code; network and 1006 is one that went away without a close frame.", "initiator", "code")

// collectCloses leaves out what has not happened: most pairs of initiator and code never
// do.
func collectCloses(counts *hub.Closes, out chan<- prometheus.Metric) {
	for i, initiator := range hub.Initiators {
		for code, name := range hub.CloseCodes {
			if n := counts[i][code]; n > 0 {
				out <- prometheus.MustNewConstMetric(closes, prometheus.CounterValue, float64(n), initiator, name)
			}
		}
	}
}
