package main

import (
	"errors"
	"math"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// roomy has nothing that is too small.
var roomy = surroundings{descriptors: 1 << 20, mostForProcess: 1 << 20, backlog: 4096, firstPort: 1024, lastPort: 65535, reservedPorts: "40010"}

func TestWhatIsTooSmallIsFoundWithTheCommandThatHelps(t *testing.T) {
	for _, test := range []struct {
		name    string
		args    []string
		change  func(s *surroundings)
		state   state
		message string // a part of it
		fix     string // a part of it
	}{
		{"descriptors", nil, func(*surroundings) {}, stateOK, "leaves room for 1048476", ""},
		{"descriptors", []string{"--max-connections=19900"}, func(s *surroundings) { s.descriptors = 20000 }, stateOK, "20000", ""},
		{"descriptors", []string{"--max-connections=19901"}, func(s *surroundings) { s.descriptors = 20000 }, stateWarn, "room for 19900", "LimitNOFILE=20001"},
		{"descriptors", []string{"--max-connections=2000000"}, func(*surroundings) {}, stateWarn, "2000000", "fs.nr_open=2000100"},
		{"descriptors", nil, func(s *surroundings) { s.descriptors = 116 }, stateOK, "room for 16", ""},
		{"descriptors", nil, func(s *surroundings) { s.descriptors = 115 }, stateFail, "115 is too low to run: 100 are needed", "ulimit -n 116"},
		{"somaxconn", nil, func(s *surroundings) { s.backlog = 128 }, stateWarn, "is 128", "sysctl -w net.core.somaxconn=4096"},
		{"somaxconn", []string{"--max-connections=100"}, func(s *surroundings) { s.backlog = 128 }, stateOK, "128", ""},
		{"somaxconn", nil, func(s *surroundings) { s.backlog = 0 }, stateOK, "not known", ""},
		{"tcp_max_syn_backlog", nil, func(*surroundings) {}, stateOK, "cookies are on", ""},
		{"tcp_max_syn_backlog", nil, func(s *surroundings) { s.synBacklog = 512 }, stateWarn, "is 512", "net.ipv4.tcp_max_syn_backlog=4096"},
		{"tcp_max_syn_backlog", []string{"--max-connections=500"}, func(s *surroundings) { s.synBacklog = 512 }, stateOK, "512", ""},
		{"ip_local_port_range", []string{"--max-connections=64513"}, func(*surroundings) {}, stateWarn, "64512 ports", "ip_local_port_range"},
		{"ip_local_port_range", nil, func(*surroundings) {}, stateOK, "64512 ports", ""},
		{"ip_local_port_range", nil, func(s *surroundings) { s.reservedPorts = "" }, stateOK, "port 40010", "ip_local_reserved_ports=40010"},
		{"ip_local_port_range", nil, func(s *surroundings) { s.firstPort, s.lastPort = 0, 0 }, stateOK, "not known", ""},
		{"memory", nil, func(*surroundings) {}, stateOK, "no limit", ""},
		{"memory", []string{"--max-connections=10000"}, func(s *surroundings) { s.memory = memory{700 << 20, 630 << 20} }, stateOK, "keeps below 630 MiB", ""},
		{"memory", nil, func(s *surroundings) { s.memory.limit = 128 << 20 }, stateOK, "idle connections take about", ""},
		{"memory", []string{"--callback-reply", "--journal=/journal"}, func(s *surroundings) { s.memory.limit = 256 << 20 }, stateOK, "idle connections take about", ""},
		{"memory", []string{"--max-connections=9000"}, func(s *surroundings) { s.memory.limit = 256 << 20 }, stateOK, "9000 idle connections take about 71 MiB", ""},
		{"memory", []string{"--max-connections=10000"}, func(s *surroundings) { s.memory.limit = 256 << 20 }, stateWarn, "may hold 183 MiB more", "raise the memory limit to 260 MiB, or --max-connections=9637"},
		{"memory", []string{"--max-connections=9000", "--outbox-memory=300MiB"}, func(s *surroundings) { s.memory.limit = 256 << 20 }, stateWarn, "may hold 447 MiB more", "or --outbox-memory=37MiB"},
		{"memory", []string{"--max-connections=9000", "--callback-memory=300MiB", "--message-memory=64MiB"}, func(s *surroundings) { s.memory.limit = 256 << 20 }, stateWarn, "more", "or --callback-memory=32MiB"},
		{"memory", []string{"--max-connections=9000", "--max-api-body=64MiB"}, func(s *surroundings) { s.memory.limit = 256 << 20 }, stateWarn, "more", "or --api-memory"},
		{"memory", []string{"--max-connections=100000"}, func(s *surroundings) { s.memory.limit = 256 << 20 }, stateWarn, "alone take about 471 MiB", "--max-connections=9637"},
		{"memory", nil, func(s *surroundings) { s.memoryError = errors.New("no such cgroup") }, stateWarn, "no such cgroup", "GOMEMLIMIT"},
		{"memory", []string{"--memory-share=0"}, func(s *surroundings) { s.memoryError = errors.New("no such cgroup") }, stateOK, "no limit", ""},
		{"memory", nil, func(s *surroundings) { s.memoryError, s.memory.runtime = errors.New("no such cgroup"), 1<<30 }, stateOK, "no limit", ""},
	} {
		c := mustParse(t, append(test.args, "--callback-url=http://127.0.0.1:1/"))
		s := roomy
		test.change(&s)
		c.fit(s.memory.limit) // as main does
		found := s.judge(c, s.connections(c))
		i := slices.IndexFunc(found, func(f finding) bool { return f.Name == test.name })
		if got := found[i]; got.State != test.state || !strings.Contains(got.Message, test.message) || !strings.Contains(got.Fix, test.fix) || (got.Fix == "") != (test.fix == "") {
			t.Errorf("%q: got %+v, want %s, %q, %q", test.args, got, test.state, test.message, test.fix)
		}
	}
}

func TestSysctlsAreReadAndThoseThatAreMissingAreNotJudged(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	proc := fstest.MapFS{
		"fs/nr_open":                          file("1048576\n"),
		"net/core/somaxconn":                  file("4096\n"),
		"net/ipv4/ip_local_port_range":        file("32768\t60999\n"),
		"net/ipv4/ip_local_reserved_ports":    file("40010\n"),
		"net/ipv4/tcp_syncookies":             file("0\n"),
		"net/ipv4/tcp_max_syn_backlog":        file("512\n"),
		"net/ipv4/something/nobody/asks/for/": file(""),
	}
	want := surroundings{mostForProcess: 1048576, backlog: 4096, synBacklog: 512, firstPort: 32768, lastPort: 60999, reservedPorts: "40010"}
	if got := readSysctls(proc); got != want {
		t.Errorf("got %+v", got)
	}
	proc["net/ipv4/tcp_syncookies"] = file("1\n")
	if got := readSysctls(proc); got.synBacklog != 0 {
		t.Errorf("with SYN cookies the backlog counts: %+v", got)
	}
	if got := readSysctls(fstest.MapFS{}); got != (surroundings{}) {
		t.Errorf("of nothing it reads %+v", got)
	}
}

func TestTheRuntimeIsToldAShareOfTheMemoryLimitUnlessItHasBeenTold(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	const mib = 1 << 20
	failing := errors.New("no such file")
	for _, test := range []struct {
		share    int
		told     bool
		provider memlimit.Provider
		want     memory
		fails    bool
	}{
		{90, false, memlimit.Limit(1000 * mib), memory{1000 * mib, 1000 * mib / 100 * 90}, false},
		{50, false, memlimit.Limit(1000 * mib), memory{1000 * mib, 1000 * mib / 100 * 50}, false},
		{0, false, memlimit.Limit(1000 * mib), memory{1000 * mib, 0}, false},
		{90, true, memlimit.Limit(1000 * mib), memory{77 * mib, 77 * mib}, false},
		{90, false, func() (uint64, error) { return 0, memlimit.ErrNoLimit }, memory{}, false},
		{90, false, func() (uint64, error) { return 0, memlimit.ErrNoCgroup }, memory{}, false},
		{90, false, func() (uint64, error) { return 0, failing }, memory{}, true},
		{90, true, func() (uint64, error) { return 0, failing }, memory{77 * mib, 77 * mib}, true},
	} {
		debug.SetMemoryLimit(77 * mib)
		got, err := readMemory(test.share, test.told, test.provider)
		if got != test.want || errors.Is(err, failing) != test.fails {
			t.Errorf("%+v: got %+v, %v", test, got, err)
		}
		debug.SetMemoryLimit(math.MaxInt64)
		got.apply()
		if now := debug.SetMemoryLimit(-1); test.want.runtime > 0 && now != test.want.runtime || test.want.runtime == 0 && now != math.MaxInt64 {
			t.Errorf("%+v: the runtime's limit is %d", test, now)
		}
	}
}
