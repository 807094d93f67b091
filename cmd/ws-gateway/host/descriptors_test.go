package host

import (
	"math"
	"testing"

	"golang.org/x/sys/unix"
)

func TestTheSoftDescriptorLimitIsRaisedToTheHardOne(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	lowered := unix.Rlimit{Cur: limit.Max / 2, Max: limit.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &lowered); err != nil {
		t.Fatal(err)
	}
	if got, err := descriptorLimit(); err != nil || uint64(got) != min(limit.Max, math.MaxInt32) {
		t.Errorf("got %d, %v; the hard limit is %d", got, err, limit.Max)
	}
}

func TestTheConnectionLimitLeavesRoomForTheGatewayItself(t *testing.T) {
	for _, test := range []struct{ descriptors, asked, concurrency, want int }{
		{20000, 0, 64, 19900},
		{20000, 19901, 64, 19901},
		{20000, 10, 64, 10},
		{116, 0, 64, 16},
		{100, 0, 8, 56},
		{10, 0, 8, 0},
	} {
		if got := connectionLimit(test.descriptors, test.asked, test.concurrency); got != test.want {
			t.Errorf("%+v: got %d", test, got)
		}
	}
}

func TestTheLimitOfHandshakesFollowsFromTheDescriptors(t *testing.T) {
	for _, test := range []struct{ descriptors, asked, concurrency, want int }{
		{1 << 20, 0, 64, mostHandshakes},
		{1024, 0, 64, (1024 - FixedDescriptors - 64) / 4},
		{128, 0, 64, fewestConnections},
		{128, 100_000, 64, 100_000},
		{1 << 20, 1, 64, 1},
	} {
		if got := handshakeLimit(test.descriptors, test.asked, test.concurrency); got != test.want {
			t.Errorf("%+v: got %d", test, got)
		}
	}
}
