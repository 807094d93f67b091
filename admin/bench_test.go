package admin

import (
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"ws-gateway/hub"
	"ws-gateway/netpoll"
)

const benchBody = `{"payload":{"event":"message","data":{"id":1234567890,"text":"The quick brown fox jumps over the lazy dog","tags":["a","b","c"]}},"conn_id":"AAAAAAAAAAAAAAAAAAAAAAAA"}`

func BenchmarkList(b *testing.B) {
	infos := make([]hub.Info, 256)
	for i := range infos {
		infos[i] = hub.Info{
			ID: "0123456789abcdef", RemoteAddr: "127.0.0.1:65535", ConnectedAt: time.Unix(1e9, 0),
			UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
		}
	}
	l := &listStream{done: func(outcome, error) {}, walk: func(out *listWriter) (string, error) { return "", out.conns("alice", infos) }}
	b.ReportAllocs()
	for b.Loop() {
		n, err := l.WriteTo(io.Discard)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(n)
	}
}

// cpuTime is what this process has used so far.
func cpuTime(b *testing.B) time.Duration {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkSendCall measures whole calls over loopback, by one caller that waits
// for each answer: client, server, and the system's share of both.
func BenchmarkSendCall(b *testing.B) {
	h, err := hub.New(hub.Config{Log: zerolog.Nop()})
	if err != nil {
		b.Fatal(err)
	}
	sockets, err := netpoll.New(netpoll.Config{Handler: h, Loops: 1, Log: zerolog.Nop()})
	if err != nil {
		b.Fatal(err)
	}
	h.Attach(sockets)
	if err := sockets.Start(); err != nil {
		b.Fatal(err)
	}
	s, err := New(Config{Hub: h, Sockets: sockets.Stats, Log: zerolog.Nop()})
	if err != nil {
		b.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go s.Serve(ln)
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	request := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: localhost:40010\r\nUser-Agent: bench\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", sendPath, len(benchBody), benchBody)
	buf := make([]byte, 4096)
	b.ReportAllocs()
	before := cpuTime(b)
	for b.Loop() {
		if _, err := c.Write(request); err != nil {
			b.Fatal(err)
		}
		if n, err := c.Read(buf); err != nil || string(buf[:15]) != "HTTP/1.1 200 OK" {
			b.Fatalf("%q %v", buf[:n], err)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
	c.Close()
	if err := sockets.Stop(b.Context()); err != nil {
		b.Fatal(err)
	}
	if err := s.Shutdown(b.Context()); err != nil {
		b.Fatal(err)
	}
}
