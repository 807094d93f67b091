package admin

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"
	"github.com/valyala/fasthttp"

	"ws-gateway/admin/metrics"
)

// textFormat is the Prometheus text exposition format.
var textFormat = expfmt.NewFormat(expfmt.TypeTextPlain)

// metricsInTurn answers with metrics, one request at a time: to gather them takes much more
// memory than the answer has.
func (s *Server) metricsInTurn(ctx *fasthttp.RequestCtx, t target) outcome {
	s.gathering <- struct{}{}
	defer func() { <-s.gathering }()
	return s.metrics(ctx, t)
}

// metrics answers with all metrics, encoded straight into the answer.
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

// newRegistry has the gateway's own metrics and those of the Go runtime and the process.
func newRegistry(s *Server) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		metrics.NewCollector(metrics.Sources{
			Sockets: s.cfg.Sockets, Hub: s.cfg.Hub.Stats, Callbacks: s.cfg.Callbacks,
			Cluster: s.cfg.ClusterStats,
			API:     s.memory.stats, LogLost: s.cfg.LogLost, Ready: s.cfg.Ready, Version: s.cfg.Version,
		}),
		apiCollector{s},
		s.times,
	)
	registry.MustRegister(s.cfg.Collectors...)
	return registry
}

// newRequestTimes has the durations of management requests; those of lists include the
// writing of their answer.
func newRequestTimes() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "ws_gateway_api_request_duration_seconds",
		Help:    "Duration of management requests that were served, by route; of lists with the time in which the caller took the answer.",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"route"})
}

// apiCollector has the metrics of the management server itself.
type apiCollector struct{ s *Server }

// Describe implements prometheus.Collector.
func (c apiCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range [...]*prometheus.Desc{apiRequests, apiConnections, apiRefused, apiWrongTokens, apiThrottled, apiHeldBack} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c apiCollector) Collect(out chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, kind, value, labels...)
	}
	for i, r := range routes {
		for o, name := range outcomeNames {
			send(apiRequests, prometheus.CounterValue, float64(c.s.requests[i][o].Load()), r.name, name)
		}
	}
	conns, scrapers := c.s.conns.Counts(), c.s.scrapers.Counts()
	send(apiConnections, prometheus.GaugeValue, float64(conns.Local), "local")
	send(apiConnections, prometheus.GaugeValue, float64(conns.Remote), "remote")
	send(apiConnections, prometheus.GaugeValue, float64(scrapers.Local), "metrics")
	send(apiRefused, prometheus.CounterValue, float64(conns.Refused+scrapers.Refused))
	guesses := c.s.rules.Guesses()
	send(apiWrongTokens, prometheus.CounterValue, float64(guesses.Wrong))
	send(apiThrottled, prometheus.CounterValue, float64(guesses.Throttled))
	send(apiHeldBack, prometheus.GaugeValue, float64(guesses.Waiting))
}

var (
	apiRequests    = metrics.NewDesc("api_requests_total", "Management requests by route and result: served; invalid (answered with a code other than 0); refused (the caller may not); failed (any other error status).", "route", "result")
	apiConnections = metrics.NewDesc("api_connections", "Connections of management callers, on this host (local) and elsewhere (remote), and of those who only look, at --metrics-listen (metrics).", "peer")
	apiRefused     = metrics.NewDesc("api_connections_refused_total", "Management connections turned away, or ended for others, because too many were open, or at shutdown.")
	apiWrongTokens = metrics.NewDesc("api_wrong_tokens_total", "Management requests with a wrong admin token.")
	apiThrottled   = metrics.NewDesc("api_throttled_total", "Management requests answered with 429 because of wrong admin tokens from the same address: the token was not looked at, or too many wait.")
	apiHeldBack    = metrics.NewDesc("api_wrong_tokens_waiting", "Answers to wrong admin tokens that are held back.")
)
