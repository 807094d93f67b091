package metrics

import (
	"runtime"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"ws-gateway/cluster"
	"ws-gateway/forward"
	"ws-gateway/hub"
	"ws-gateway/netpoll"
)

// Sources of the metrics. They are called for each scrape.
type Sources struct {
	Sockets   func() netpoll.Stats
	Hub       func() hub.Stats
	Callbacks func() forward.Stats         // nil: push-only, its metrics are absent
	Cluster   func() cluster.Stats         // nil: the gateway is alone, its metrics are absent
	API       func() netpoll.BudgetStats   // the memory of management requests
	LogLost   func() uint64                // lines; nil: none
	Ready     func() (ok bool, why string) // are new clients taken?
	Version   string
}

// NewCollector returns the metrics of sources.
func NewCollector(sources Sources) prometheus.Collector { return &collector{sources} }

type collector struct{ from Sources }

// snapshot is what one scrape reads: every counter once.
type snapshot struct {
	sockets   netpoll.Stats
	hub       hub.Stats
	callbacks forward.Stats
	cluster   cluster.Stats
	api       netpoll.BudgetStats
	pushOnly  bool
	logLost   uint64
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	out <- buildInfo
	out <- readiness
	for _, f := range slices.Concat(metricTable, clusterTable) {
		out <- f.desc
	}
	for _, h := range socketHistograms {
		out <- h.desc
	}
	out <- closes
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	ready, _ := c.from.Ready()
	out <- prometheus.MustNewConstMetric(buildInfo, prometheus.GaugeValue, 1, c.from.Version, runtime.Version())
	out <- prometheus.MustNewConstMetric(readiness, prometheus.GaugeValue, oneIf(ready))
	now := snapshot{sockets: c.from.Sockets(), hub: c.from.Hub(), api: c.from.API(), pushOnly: c.from.Callbacks == nil}
	if !now.pushOnly {
		now.callbacks = c.from.Callbacks()
	}
	if c.from.LogLost != nil {
		now.logLost = c.from.LogLost()
	}
	collectFamilies(metricTable, &now, out)
	if c.from.Cluster != nil {
		now.cluster = c.from.Cluster()
		collectFamilies(clusterTable, &now, out)
	}
	collectCloses(&now.hub.Closes, out)
	collectHistograms(&now.sockets, out)
}

func oneIf(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

var (
	buildInfo = NewDesc("build_info", "Always 1; the labels say which version runs and what it was built with.", "version", "go_version")
	readiness = NewDesc("ready", "1 while new clients are taken, 0 while starting, draining or overloaded.")
)

// NewDesc describes a metric of the gateway; name is without its prefix.
func NewDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("ws_gateway_"+name, help, labels, nil)
}
