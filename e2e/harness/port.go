package harness

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// FreePort is a TCP port at which nobody listens, on any address, for a program that
// has to be told its port. It may be taken before that program takes it, but is not one
// of those that Linux gives to whoever asks for any.
func FreePort(t testing.TB) string {
	t.Helper()
	for range 1000 {
		ln, err := net.Listen("tcp", net.JoinHostPort("", strconv.Itoa(20_000+rand.IntN(12_000))))
		if err != nil {
			continue
		}
		defer ln.Close()
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		return port
	}
	t.Fatal("no port is free")
	return ""
}
