package load

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"ws-gateway/bench/sock"
)

func TestSourcesOfConnectionsFollowTheTarget(t *testing.T) {
	loopback, other := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.0.2.1")
	for conn, want := range map[int]string{0: "127.0.0.1", 3_999: "127.0.0.1", 4_000: "127.0.0.2", 18_999: "127.0.0.5",
		999_999: "127.0.0.250", 1_000_000: "127.0.1.1"} {
		if got := source(loopback, conn); got.String() != want {
			t.Errorf("connection %d comes from %v, not %s", conn, got, want)
		}
	}
	if got := source(other, 5_000); got.IsValid() {
		t.Errorf("towards %v the source is %v", other, got)
	}
	if got := source(netip.IPv6Loopback(), 5_000); got.IsValid() {
		t.Errorf("towards ::1 the source is %v", got)
	}
}

// TestTheSameTargetSeesSeveralAddresses dials as a worker does for connections
// that do not fit on one address.
func TestTheSameTargetSeesSeveralAddresses(t *testing.T) {
	var seen []string
	l, target := listening(t, "127.0.0.1:0")
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
