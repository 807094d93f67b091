package admin

import (
	"context"
	"fmt"
	"sync"
	"testing"
)

// serveMetrics is serve for --metrics-listen.
func (r *rig) serveMetrics(ln *crowd) {
	served := make(chan error, 1)
	go func() { served <- r.admin.ServeMetrics(ln) }()
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
		defer cancel()
		r.admin.Shutdown(ctx)
		if err := <-served; err != nil {
			r.t.Errorf("ServeMetrics: %v", err)
		}
	})
}

// Whatever one network does with the connections of --metrics-listen, probes and Prometheus
// elsewhere are answered: an orchestrator kills what it cannot probe.
func TestNobodyKeepsProbesOut(t *testing.T) {
	const scrape, probe = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
	tests := []struct {
		name, sent string
		waits      bool // for another's answer to be made
	}{
		{name: "sends nothing"},
		{name: "sends half a request", sent: scrape[:20]},
		{name: "does not read metrics", sent: scrape},
		{name: "does not read health", sent: probe},
		{name: "asks for metrics again and again", sent: scrape, waits: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, ln := newRig(t), newCrowd()
			r.serveMetrics(ln)
			release := func() {}
			if test.waits {
				r.admin.scraping <- struct{}{}
				release = sync.OnceFunc(func() { <-r.admin.scraping })
				t.Cleanup(release)
			}
			prometheus := ln.from(t, "198.51.100.1:1").write(scrape)
			for i := range 3 * maxScrapes {
				w := ln.from(t, fmt.Sprintf("[2001:db8::%x]:%d", i/40+1, i+1)) // one network
				if test.sent != "" {
					w.write(test.sent)
				}
				if i%16 != 15 {
					continue
				}
				await(t, "the requests to be looked at", func() bool {
					now := r.admin.scrapers.Counts()
					return now.Local <= maxScrapes && (test.sent != scrape && test.sent != probe || now.Busy >= now.Local-1)
				})
				if got := ln.from(t, "198.51.100.2:1").write(probe).read("GET"); got.status != 200 {
					t.Fatalf("a probe beside %d of them: %d %s", i+1, got.status, got.body)
				}
			}
			release()
			if got := prometheus.read("GET"); got.status != 200 {
				t.Errorf("Prometheus: %d %s", got.status, got.body)
			}
			if got := r.admin.scrapers.Counts(); got.Local > maxScrapes || got.Refused < 2*maxScrapes-1 {
				t.Errorf("%+v", got)
			}
		})
	}
}

// An IPv6 network counts as one peer: it has as many addresses as it likes.
func TestOneNetworkCannotTakeAllPlacesOfStrangers(t *testing.T) {
	r, ln := newRig(t), newCrowd()
	r.serve(ln)
	for i := range maxPeer {
		ln.from(t, fmt.Sprintf("[2001:db8::%x]:1", i+1))
	}
	if got := ln.from(t, "[2001:db8::ffff:1]:1").read("GET"); got.status != 503 {
		t.Errorf("one more of the network: %d", got.status)
	}
	if got := ln.from(t, "[2001:db8:0:1::1]:1").write("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").read("GET"); got.status != 200 {
		t.Errorf("another network: %d %s", got.status, got.body)
	}
}
