// Package reload compares a configuration with the one before it, and records the result
// of the last reload for metrics, status and systemd. It imports nothing of this module.
//
//	SIGHUP ──▶ config: read again ──▶ Compare ──▶ hold what needs a restart, check
//	       ──▶ gateway: put into force ──▶ Record
package reload

import (
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Option is what a reload compares of an option.
type Option struct {
	Name    string
	Value   any
	Content any  // of the file that it names, comparable; nil: it names none
	Can     bool // it can be changed while the process runs
}

// Compare returns the names of the options that differ: those that can be changed, and
// those that need a restart. before and now have the same options.
func Compare(before, now []Option) (changed, restart []string) {
	for _, o := range now {
		i := slices.IndexFunc(before, func(b Option) bool { return b.Name == o.Name })
		if i >= 0 && reflect.DeepEqual(before[i].Value, o.Value) && before[i].Content == o.Content {
			continue
		}
		if o.Can {
			changed = append(changed, o.Name)
		} else {
			restart = append(restart, o.Name)
		}
	}
	return changed, restart
}

// Record is the result of the last reload. Several goroutines may use it.
type Record struct {
	mu     sync.Mutex // guards following
	last   Outcome
	some   bool      // there has been one
	good   time.Time // when a configuration last came into force; at first, the start
	bad    uint64
	passed uint64
}

// Outcome is the result of a reload.
type Outcome struct {
	At      time.Time
	Error   string   // "": what can be changed is in force
	Restart []string // options that have another value now, for which a restart is needed
}

// NewRecord returns a record without reloads; the configuration is in force since
// started.
func NewRecord(started time.Time) *Record { return &Record{good: started} }

// Add records a reload.
func (r *Record) Add(o Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if o.Error != "" {
		o.Restart = r.last.Restart // as before
		r.bad++
	} else {
		r.good = o.At
		r.passed++
	}
	r.last, r.some = o, true
}

// Last returns the last reload; ok is false if there was none.
func (r *Record) Last() (o Outcome, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last, r.some
}

var (
	successful = describe("config_last_reload_successful", "1 while the configuration that was last read is in force, the options apart that need a restart; 0 after a reload (SIGHUP) that failed.")
	timestamp  = describe("config_last_reload_success_timestamp_seconds", "Unix time at which a configuration last came into force, by a reload or the start.")
	reloads    = describe("config_reloads_total", "Reloads of the configuration.", "result")
	pending    = describe("config_restart_options", "Options that have been changed and need a restart.")
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("ws_gateway_"+name, help, labels, nil)
}

// Describe implements prometheus.Collector.
func (r *Record) Describe(out chan<- *prometheus.Desc) {
	out <- successful
	out <- timestamp
	out <- reloads
	out <- pending
}

// Collect implements prometheus.Collector.
func (r *Record) Collect(out chan<- prometheus.Metric) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ok := 1.0
	if r.last.Error != "" {
		ok = 0
	}
	gauge := func(d *prometheus.Desc, v float64) { out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v) }
	gauge(successful, ok)
	gauge(timestamp, float64(r.good.UnixMilli())/1000)
	gauge(pending, float64(len(r.last.Restart)))
	out <- prometheus.MustNewConstMetric(reloads, prometheus.CounterValue, float64(r.passed), "success")
	out <- prometheus.MustNewConstMetric(reloads, prometheus.CounterValue, float64(r.bad), "failure")
}
