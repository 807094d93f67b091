package scenario

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"ws-gateway/bench/child"
	"ws-gateway/bench/sink"
)

// metrics are the gateway's own counts, by name without prefix, and those of its
// runtime, such as go_goroutines; a label's value follows in braces, as in
// closed_total{ping_timeout}.
type metrics map[string]float64

const apiTimeout = 10 * time.Second

// scrape reads GET /metrics.
func scrape(gateway netip.AddrPort) (metrics, error) {
	body, err := callAPI(gateway, http.MethodGet, "/metrics", nil)
	if err != nil {
		return nil, err
	}
	return parseMetrics(body)
}

// scraped is what a gateway says that must be alive.
func scraped(gateway *child.Process) metrics {
	m, err := scrape(gateway.Addr())
	if err != nil {
		check(errors.Join(err, gateway.Alive()))
	}
	return m
}

// callAPI makes one request to the management API on a connection of its own.
func callAPI(gateway netip.AddrPort, method, path string, body []byte) ([]byte, error) {
	return sink.Call(gateway, method, path, body, apiTimeout)
}

// order gives the gateway a command, which it must accept.
func order(gateway netip.AddrPort, path string, command []byte) error {
	body, err := callAPI(gateway, http.MethodPost, path, command)
	if err != nil {
		return err
	}
	var answer struct{ Code int }
	if err := json.Unmarshal(body, &answer); err != nil || answer.Code != 0 {
		return fmt.Errorf("%s answered %.200q", path, body)
	}
	return nil
}

// send calls the send API.
func send(gateway netip.AddrPort, command []byte) error {
	return order(gateway, "/tapr/ws/conn/send", command)
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
