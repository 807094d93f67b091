package config

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"ws-gateway/cmd/ws-gateway/host"
	"ws-gateway/cmd/ws-gateway/internal/finding"
)

// roomy has nothing that is too small.
var roomy = host.Limits{Descriptors: 1 << 20, MostForProcess: 1 << 20, Backlog: 4096, FirstPort: 1024, LastPort: 65535, ReservedPorts: "40010"}

func TestWhatIsTooSmallIsFoundWithTheCommandThatHelps(t *testing.T) {
	for _, test := range []struct {
		name    string
		args    []string
		change  func(s *host.Limits)
		state   finding.State
		message string // a part of it
		fix     string // a part of it
	}{
		{"descriptors", nil, func(*host.Limits) {}, finding.OK, "leaves room for 1048476", ""},
		{"descriptors", []string{"--max-connections=19900"}, func(s *host.Limits) { s.Descriptors = 20000 }, finding.OK, "20000", ""},
		{"descriptors", []string{"--max-connections=19901"}, func(s *host.Limits) { s.Descriptors = 20000 }, finding.Warn, "room for 19900", "LimitNOFILE=20001"},
		{"descriptors", []string{"--max-connections=2000000"}, func(*host.Limits) {}, finding.Warn, "2000000", "fs.nr_open=2000100"},
		{"descriptors", nil, func(s *host.Limits) { s.Descriptors = 116 }, finding.OK, "room for 16", ""},
		{"descriptors", nil, func(s *host.Limits) { s.Descriptors = 115 }, finding.Fail, "115 is too low to run: 100 are needed", "ulimit -n 116"},
		{"somaxconn", nil, func(s *host.Limits) { s.Backlog = 128 }, finding.Warn, "is 128", "sysctl -w net.core.somaxconn=4096"},
		{"somaxconn", []string{"--max-connections=100"}, func(s *host.Limits) { s.Backlog = 128 }, finding.OK, "128", ""},
		{"somaxconn", nil, func(s *host.Limits) { s.Backlog = 0 }, finding.OK, "not known", ""},
		{"tcp_max_syn_backlog", nil, func(*host.Limits) {}, finding.OK, "cookies are on", ""},
		{"tcp_max_syn_backlog", nil, func(s *host.Limits) { s.SYNBacklog = 512 }, finding.Warn, "is 512", "net.ipv4.tcp_max_syn_backlog=4096"},
		{"tcp_max_syn_backlog", []string{"--max-connections=500"}, func(s *host.Limits) { s.SYNBacklog = 512 }, finding.OK, "512", ""},
		{"ip_local_port_range", []string{"--max-connections=64513"}, func(*host.Limits) {}, finding.Warn, "64512 ports", "ip_local_port_range"},
		{"ip_local_port_range", nil, func(*host.Limits) {}, finding.OK, "64512 ports", ""},
		{"ip_local_port_range", nil, func(s *host.Limits) { s.ReservedPorts = "" }, finding.OK, "port 40010", "ip_local_reserved_ports=40010"},
		{"ip_local_port_range", nil, func(s *host.Limits) { s.FirstPort, s.LastPort = 0, 0 }, finding.OK, "not known", ""},
		{"memory", nil, func(*host.Limits) {}, finding.OK, "no limit", ""},
		{"memory", []string{"--max-connections=10000"}, func(s *host.Limits) { s.Memory = host.Memory{Limit: 700 << 20, Runtime: 630 << 20} }, finding.OK, "keeps below 630 MiB", ""},
		{"memory", nil, func(s *host.Limits) { s.Memory.Limit = 128 << 20 }, finding.OK, "idle connections take about", ""},
		{"memory", []string{"--callback-reply", "--journal=/journal"}, func(s *host.Limits) { s.Memory.Limit = 256 << 20 }, finding.OK, "idle connections take about", ""},
		{"memory", []string{"--max-connections=9000"}, func(s *host.Limits) { s.Memory.Limit = 256 << 20 }, finding.OK, "9000 idle connections take about 71 MiB", ""},
		{"memory", []string{"--max-connections=10000"}, func(s *host.Limits) { s.Memory.Limit = 256 << 20 }, finding.Warn, "may hold 187 MiB more", "raise the memory limit to 264 MiB, or --max-connections=9155"},
		{"memory", []string{"--max-connections=9000", "--outbox-memory=300MiB"}, func(s *host.Limits) { s.Memory.Limit = 256 << 20 }, finding.Warn, "may hold 451 MiB more", "or --outbox-memory=33MiB"},
		{"memory", []string{"--max-connections=9000", "--callback-memory=300MiB", "--message-memory=64MiB"}, func(s *host.Limits) { s.Memory.Limit = 256 << 20 }, finding.Warn, "more", "or --callback-memory=32MiB"},
		{"memory", []string{"--max-connections=9000", "--max-api-body=64MiB"}, func(s *host.Limits) { s.Memory.Limit = 256 << 20 }, finding.Warn, "more", "or --api-memory"},
		{"memory", []string{"--max-connections=9000", "--resume-memory=64MiB"}, func(s *host.Limits) { s.Memory.Limit = 256 << 20 }, finding.OK, "9000 idle", ""},
		{"memory", []string{"--max-connections=9000", "--resume-memory=64MiB", "--resume-for=1m"}, func(s *host.Limits) { s.Memory.Limit = 256 << 20 }, finding.Warn, "more", "or --resume-memory=4MiB"},
		{"memory", []string{"--max-connections=100000"}, func(s *host.Limits) { s.Memory.Limit = 256 << 20 }, finding.Warn, "alone take about 471 MiB", "--max-connections=9155"},
		{"memory", nil, func(s *host.Limits) { s.MemoryError = errors.New("no such cgroup") }, finding.Warn, "no such cgroup", "GOMEMLIMIT"},
		{"memory", []string{"--memory-share=0"}, func(s *host.Limits) { s.MemoryError = errors.New("no such cgroup") }, finding.OK, "no limit", ""},
		{"memory", nil, func(s *host.Limits) { s.MemoryError, s.Memory.Runtime = errors.New("no such cgroup"), 1<<30 }, finding.OK, "no limit", ""},
	} {
		c := mustParse(t, append(test.args, "--callback-url=http://127.0.0.1:1/"))
		s := roomy
		test.change(&s)
		c.fit(s.Memory.Limit) // as main does
		found := s.Judge(c.Demand(), s.Connections(c.Demand()))
		i := slices.IndexFunc(found, func(f finding.Finding) bool { return f.Name == test.name })
		if got := found[i]; got.State != test.state || !strings.Contains(got.Message, test.message) || !strings.Contains(got.Fix, test.fix) || (got.Fix == "") != (test.fix == "") {
			t.Errorf("%q: got %+v, want %s, %q, %q", test.args, got, test.state, test.message, test.fix)
		}
	}
}
