package load

import (
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"ws-gateway/bench/sock"
)

func TestConnectionsAreSharedOutOverLoopbackAddresses(t *testing.T) {
	v4, v6, far := netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback(), netip.MustParseAddr("192.0.2.1")
	counts := make(map[netip.Addr]int)
	for n := range 1_200 {
		conn := n * 1_000
		from := source(v4, conn)
		if !from.IsLoopback() {
			t.Fatalf("connection %d is from %v", conn, from)
		}
		counts[from]++
	}
	for from, n := range counts {
		if n > perSource/1_000 {
			t.Errorf("%d thousand connections are from %v", n, from)
		}
	}
	if source(v4, 0) != v4 || source(v6, 9_999).IsValid() || source(far, 9_999).IsValid() {
		t.Error("elsewhere the kernel chooses")
	}
}

// TestTheSameTargetSeesSeveralAddresses dials as a worker does for connections
// that do not fit on one address.
func TestTheSameTargetSeesSeveralAddresses(t *testing.T) {
	var seen []string
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	target := netip.MustParseAddrPort(l.Addr().String())
	for _, conn := range []int{0, perSource} {
		fd, err := sock.Dial(target, source(target.Addr(), conn), 0)
		if err != nil {
			t.Fatal(err)
		}
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, netip.MustParseAddrPort(c.RemoteAddr().String()).Addr().String())
		c.Close()
		unix.Close(fd)
	}
	if seen[0] != "127.0.0.1" || seen[1] != "127.0.0.2" {
		t.Errorf("the server saw %v", seen)
	}
}
