package host

import (
	"errors"
	"math"
	"runtime/debug"
	"testing"
	"testing/fstest"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

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
	want := Limits{MostForProcess: 1048576, Backlog: 4096, SYNBacklog: 512, FirstPort: 32768, LastPort: 60999, ReservedPorts: "40010"}
	if got := readSysctls(proc); got != want {
		t.Errorf("got %+v", got)
	}
	proc["net/ipv4/tcp_syncookies"] = file("1\n")
	if got := readSysctls(proc); got.SYNBacklog != 0 {
		t.Errorf("with SYN cookies the backlog counts: %+v", got)
	}
	if got := readSysctls(fstest.MapFS{}); got != (Limits{}) {
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
		want     Memory
		fails    bool
	}{
		{90, false, memlimit.Limit(1000 * mib), Memory{1000 * mib, 1000 * mib / 100 * 90}, false},
		{50, false, memlimit.Limit(1000 * mib), Memory{1000 * mib, 1000 * mib / 100 * 50}, false},
		{0, false, memlimit.Limit(1000 * mib), Memory{1000 * mib, 0}, false},
		{90, true, memlimit.Limit(1000 * mib), Memory{77 * mib, 77 * mib}, false},
		{90, false, func() (uint64, error) { return 0, memlimit.ErrNoLimit }, Memory{}, false},
		{90, false, func() (uint64, error) { return 0, memlimit.ErrNoCgroup }, Memory{}, false},
		{90, false, func() (uint64, error) { return 0, failing }, Memory{}, true},
		{90, true, func() (uint64, error) { return 0, failing }, Memory{77 * mib, 77 * mib}, true},
	} {
		debug.SetMemoryLimit(77 * mib)
		got, err := readMemory(test.share, test.told, test.provider)
		if got != test.want || errors.Is(err, failing) != test.fails {
			t.Errorf("%+v: got %+v, %v", test, got, err)
		}
		debug.SetMemoryLimit(math.MaxInt64)
		got.Apply()
		if now := debug.SetMemoryLimit(-1); test.want.Runtime > 0 && now != test.want.Runtime || test.want.Runtime == 0 && now != math.MaxInt64 {
			t.Errorf("%+v: the runtime's limit is %d", test, now)
		}
	}
}
