package address

import (
	"net"
	"strings"
	"testing"

	"ws-gateway/e2e/harness"
)

var table = []struct {
	a, b  string
	clash bool
}{
	{":1", ":1", true},
	{":1", ":2", false},
	{":0", ":0", false},
	{"127.0.0.1:0", "127.0.0.1:0", false},
	{":1", "127.0.0.1:1", true},
	{":1", "[::1]:1", true},
	{":1", "0.0.0.0:1", true},
	{":1", "[::]:1", true},
	{"[::]:1", "127.0.0.1:1", true},
	{"[::]:1", "0.0.0.0:1", true},
	{"0.0.0.0:1", "127.0.0.1:1", true},
	{"0.0.0.0:1", "localhost:1", true},
	{"0.0.0.0:1", "[::1]:1", true},
	{"127.0.0.1:1", "127.0.0.1:01", true},
	{"127.0.0.1:1", "127.0.0.2:1", false},
	{"127.0.0.1:1", "[::ffff:127.0.0.1]:1", true},
	{"127.0.0.1:1", "localhost:1", true},
	{"127.0.0.1:1", "LocalHost:1", true},
	{"127.0.0.1:1", "[::1]:1", false},
	{"[::1]:1", "[0:0:0:0:0:0:0:1]:1", true},
	{"unix:/a/b", "unix:/a//b", true},
	{"unix:/a/b", "unix:/a/c/../b", true},
	{"unix:/a", "unix:/b", false},
	{"unix:/a", ":1", false},
}

func TestClash(t *testing.T) {
	for _, c := range append(table, []struct {
		a, b  string
		clash bool
	}{
		{"gateway.example:1", "GATEWAY.example:1", true},
		{"gateway.example:1", "127.0.0.1:1", false},
		{"gateway.example:1", ":1", true},
		{"nonsense", "nonsense", false},
		{"", "", false},
	}...) {
		if Clash(c.a, c.b) != c.clash || Clash(c.b, c.a) != c.clash {
			t.Errorf("%q and %q: want %v", c.a, c.b, c.clash)
		}
	}
}

// The kernel has the last word.
func TestTheKernelSeesItTheSameWay(t *testing.T) {
	for _, c := range table {
		if strings.HasPrefix(c.a, "unix:") || strings.HasPrefix(c.b, "unix:") || strings.HasSuffix(c.a, ":0") || strings.HasSuffix(c.b, ":2") {
			continue
		}
		port := harness.FreePort(t)
		put := func(addr string) string { return addr[:strings.LastIndexByte(addr, ':')+1] + port }
		first, err := net.Listen("tcp", put(c.a))
		if err != nil {
			t.Logf("%s: %v", c.a, err) // no IPv6 here
			continue
		}
		second, err := net.Listen("tcp", put(c.b))
		if (err != nil) != c.clash {
			t.Errorf("%s, then %s: %v, want a clash: %v", c.a, c.b, err, c.clash)
		}
		first.Close()
		if err == nil {
			second.Close()
		}
	}
}
