package admin

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"
	"github.com/valyala/fasthttp"

	"ws-gateway/forward"
	"ws-gateway/hub"
	"ws-gateway/netpoll"
)

// textFormat is the Prometheus text exposition format.
var textFormat = expfmt.NewFormat(expfmt.TypeTextPlain)

// metrics gathers and encodes straight into the answer.
func (s *Server) metrics(ctx *fasthttp.RequestCtx, _ target) outcome {
	families, err := s.registry.Gather()
	if err != nil {
		s.cfg.Log.Error().Err(err).Msg("cannot gather all metrics")
		return answerRefusal(ctx, refusal{fasthttp.StatusInternalServerError, "cannot gather all metrics: the log says why"}, true)
	}
	setHead(ctx, string(textFormat))
	encoder := expfmt.NewEncoder(ctx.Response.BodyWriter(), textFormat)
	for _, family := range families {
		if err := encoder.Encode(family); err != nil {
			panic(err) // the answer's buffer takes everything
		}
	}
	return served
}

// newRegistry has the gateway's own metrics and those of the Go runtime and the
// process.
func newRegistry(s *Server) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		gatewayCollector{s},
		s.times,
	)
	registry.MustRegister(s.cfg.Collectors...)
	return registry
}

// snapshot is what one scrape reads: every counter once.
type snapshot struct {
	sockets   netpoll.Stats
	hub       hub.Stats
	callbacks forward.Stats
	api       netpoll.BudgetStats // of commands
	pushOnly  bool
	logLost   uint64
}

// gatewayCollector reads the counters that the packages keep for themselves, so
// that counting costs the hot paths nothing that has to do with Prometheus.
type gatewayCollector struct{ s *Server }

// Describe implements prometheus.Collector.
func (c gatewayCollector) Describe(out chan<- *prometheus.Desc) {
	for _, f := range metricTable {
		out <- f.desc
	}
	out <- buildInfo
	out <- readiness
	out <- apiRequests
	out <- apiConnections
	out <- apiRefused
	out <- apiWrongTokens
	out <- apiThrottled
	out <- apiHeldBack
	for _, h := range socketHistograms {
		out <- h.desc
	}
	out <- closes
}

// Collect implements prometheus.Collector.
func (c gatewayCollector) Collect(out chan<- prometheus.Metric) {
	cfg := &c.s.cfg
	now := snapshot{sockets: cfg.Sockets(), hub: cfg.Hub.Stats(), api: c.s.rooms.stats(), pushOnly: cfg.Callbacks == nil}
	if !now.pushOnly {
		now.callbacks = cfg.Callbacks()
	}
	if cfg.LogLost != nil {
		now.logLost = cfg.LogLost()
	}
	collectFamilies(&now, out)
	collectCloses(&now.hub.Closes, out)
	collectHistograms(&now.sockets, out)
	c.collectOwn(out)
}

// collectOwn reports on the management server itself.
func (c gatewayCollector) collectOwn(out chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, kind, value, labels...)
	}
	send(buildInfo, prometheus.GaugeValue, 1, c.s.cfg.Version, runtime.Version())
	ready, _ := c.s.cfg.Ready()
	send(readiness, prometheus.GaugeValue, oneIf(ready))
	for i, r := range routes {
		for o, name := range outcomeNames {
			send(apiRequests, prometheus.CounterValue, float64(c.s.requests[i][o].Load()), r.name, name)
		}
	}
	local, remote, turnedAway := c.s.door.counts()
	send(apiConnections, prometheus.GaugeValue, float64(local), "local")
	send(apiConnections, prometheus.GaugeValue, float64(remote), "remote")
	scrapers, _, outdone := c.s.scrapers.counts()
	send(apiConnections, prometheus.GaugeValue, float64(scrapers), "metrics")
	send(apiRefused, prometheus.CounterValue, float64(turnedAway+outdone))
	guesses := c.s.rules.Guesses()
	send(apiWrongTokens, prometheus.CounterValue, float64(guesses.Wrong))
	send(apiThrottled, prometheus.CounterValue, float64(guesses.Throttled))
	send(apiHeldBack, prometheus.GaugeValue, float64(guesses.Waiting))
}

func oneIf(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

var (
	buildInfo      = describe("build_info", "Always 1; the labels say which version runs and what it was built with.", "version", "go_version")
	readiness      = describe("ready", "1 while new clients are taken, 0 while starting, draining or overloaded.")
	apiRequests    = describe("api_requests_total", "Management requests by route and result: served; invalid (answered with a code other than 0); refused (the caller may not); failed (any other error status).", "route", "result")
	apiConnections = describe("api_connections", "Connections of management callers, on this host (local) and elsewhere (remote), and of those who only look, at --metrics-listen (metrics).", "peer")
	apiRefused     = describe("api_connections_refused_total", "Management connections turned away, or ended for others, because too many were open, or at shutdown.")
	apiWrongTokens = describe("api_wrong_tokens_total", "Management requests with a wrong admin token.")
	apiThrottled   = describe("api_throttled_total", "Management requests answered with 429 because of wrong admin tokens from the same address: the token was not looked at, or too many wait.")
	apiHeldBack    = describe("api_wrong_tokens_waiting", "Answers to wrong admin tokens that are held back.")
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("ws_gateway_"+name, help, labels, nil)
}
