package scenario

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/valyala/fasthttp"
)

// metrics are the gateway's own counts, by name without prefix, and those of its
// runtime, such as go_goroutines; a label's value follows in braces, as in
// closed_total{ping_timeout}.
type metrics map[string]float64

const apiTimeout = 10 * time.Second

// scrape reads GET /metrics.
func scrape(gateway netip.AddrPort) (metrics, error) {
	body, err := callAPI(gateway, fasthttp.MethodGet, "/metrics", nil)
	if err != nil {
		return nil, err
	}
	return parseMetrics(body)
}

// callAPI makes one request to the management API on a connection of its own.
func callAPI(gateway netip.AddrPort, method, path string, body []byte) ([]byte, error) {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.Header.SetMethod(method)
	req.SetRequestURI("http://" + gateway.String() + path)
	req.SetBodyRaw(body)
	req.SetConnectionClose()
	client := fasthttp.HostClient{Addr: gateway.String()}
	if err := client.DoTimeout(req, resp, apiTimeout); err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode() != fasthttp.StatusOK {
		return nil, fmt.Errorf("%s %s: status %d", method, path, resp.StatusCode())
	}
	return bytes.Clone(resp.Body()), nil
}

func parseMetrics(text []byte) (metrics, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("reading metrics: %w", err)
	}
	all := make(metrics)
	for name, family := range families {
		short, ours := strings.CutPrefix(name, "ws_gateway_")
		if !ours && !strings.HasPrefix(name, "go_") {
			continue
		}
		for _, m := range family.GetMetric() {
			key := short
			for _, label := range m.GetLabel() {
				key += "{" + label.GetValue() + "}"
			}
			all[key] = m.GetCounter().GetValue() + m.GetGauge().GetValue() // it is one of them
		}
	}
	return all, nil
}

// sub is how far all counts have moved since before.
func (m metrics) sub(before metrics) metrics {
	moved := make(metrics, len(m))
	for name, v := range m {
		moved[name] = v - before[name]
	}
	return moved
}

// sum adds up all values of a labelled metric.
func (m metrics) sum(name string) float64 {
	var sum float64
	for key, v := range m {
		if strings.HasPrefix(key, name+"{") {
			sum += v
		}
	}
	return sum
}
