// Package metrics turns the statistics of netpoll, hub and forward into Prometheus
// metrics. These packages count for themselves and know nothing of Prometheus, so counting
// costs their hot paths no more than an addition; a scrape reads every counter once.
//
// It imports netpoll, hub and forward for their Stats alone. A new metric is a line in
// families.go.
package metrics
