package metrics

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"ws-gateway/netpoll"
)

// fill sets every number below v to a value of its own and returns them by name.
func fill(v reflect.Value, name string, next *int64, all map[string]int64) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), name+"."+v.Type().Field(i).Name, next, all)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), fmt.Sprintf("%s[%d]", name, i), next, all)
		}
	case reflect.Int64, reflect.Uint64:
		*next++
		all[name] = *next
		if v.CanInt() {
			if name == "callbacks.Oldest" {
				v.SetInt(*next * 1e9) // seconds
				return
			}
			v.SetInt(*next)
			return
		}
		v.SetUint(uint64(*next))
	case reflect.Bool:
		v.SetBool(true)
	default:
		panic("a statistic of a kind that this test does not know: " + name)
	}
}

func TestEveryStatisticIsAMetric(t *testing.T) {
	var now snapshot
	next, all := int64(1_000_000), map[string]int64{}
	for name, stats := range map[string]any{"sockets": &now.sockets, "hub": &now.hub, "callbacks": &now.callbacks, "cluster": &now.cluster} {
		fill(reflect.ValueOf(stats).Elem(), name, &next, all)
	}
	delete(all, "sockets.Refused")                         // the sum of what the hub counts by reason
	delete(all, "sockets.Suspended")                       // the process ends with it, and says it in its log
	maps.DeleteFunc(all, func(name string, _ int64) bool { // histograms add up, and have a test of their own
		return strings.HasPrefix(name, "sockets.Handshakes.") || strings.HasPrefix(name, "sockets.TurnTimes.")
	})
	out := make(chan prometheus.Metric, 1000)
	collectFamilies(metricTable, &now, out)
	collectFamilies(clusterTable, &now, out)
	collectCloses(&now.hub.Closes, out)
	close(out)
	text := exposed(t, out)
	for name, value := range all {
		if !strings.Contains(text, fmt.Sprintf(" %s\n", plainNumber(value))) {
			t.Errorf("%s is not among the metrics", name)
		}
	}
	for _, on := range []string{"ws_gateway_callback_pressure 1\n", "ws_gateway_app_down 1\n", "ws_gateway_cluster_link_up 1\n"} {
		if !strings.Contains(text, on) {
			t.Errorf("no %q", on)
		}
	}
}

func TestHistogramsOfLoopsAreCumulativeAndInSeconds(t *testing.T) {
	var s netpoll.Stats
	s.TurnTimes.Buckets[0], s.TurnTimes.Buckets[10], s.TurnTimes.Buckets[netpoll.HistogramBuckets-1] = 5, 3, 2
	s.TurnTimes.Sum = 90 * time.Second
	out := make(chan prometheus.Metric, 10)
	collectHistograms(&s, out)
	close(out)
	text := exposed(t, out)
	const name = "ws_gateway_loop_turn_duration_seconds"
	for _, line := range []string{
		`_bucket{le="1e-06"} 5`, `_bucket{le="0.000512"} 5`, `_bucket{le="0.001024"} 8`, `_bucket{le="16.777216"} 8`,
		`_bucket{le="+Inf"} 10`, `_sum 90`, `_count 10`,
	} {
		if !strings.Contains(text, name+line+"\n") {
			t.Errorf("no line %s in\n%s", line, text)
		}
	}
	if strings.Contains(text, `le="33`) {
		t.Errorf("the last bucket has a bound:\n%s", text)
	}
}

func plainNumber(n int64) string { return strconv.FormatFloat(float64(n), 'g', -1, 64) }

// fixed is a collector of given metrics.
type fixed struct{ metrics []prometheus.Metric }

func (f fixed) Describe(chan<- *prometheus.Desc) {}
func (f fixed) Collect(out chan<- prometheus.Metric) {
	for _, m := range f.metrics {
		out <- m
	}
}

// exposed encodes metrics, and checks that they fit together.
func exposed(t *testing.T, metrics <-chan prometheus.Metric) string {
	t.Helper()
	var f fixed
	for m := range metrics {
		f.metrics = append(f.metrics, m)
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(f)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(&out, family); err != nil {
			t.Fatal(err)
		}
	}
	return out.String()
}
