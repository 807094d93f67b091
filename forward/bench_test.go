package forward

import (
	"context"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// The figures of DESIGN 4: go test -run - -bench Callbacks -benchtime 200000x ./forward/
// cpu-ns/event is user and system time of the whole process, the sink's share
// included; both benchmarks have the same sink.

var benchData = []byte(`{"event":"chat","data":{"room":17,"text":"hello, world"}}`)

func benchSink(b *testing.B) (url string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := &fasthttp.Server{Handler: func(*fasthttp.RequestCtx) {}}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(ln) }()
	b.Cleanup(func() { _ = s.Shutdown(); <-done })
	return "http://" + ln.Addr().String() + "/ws/message"
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func reportCPU(b *testing.B, before time.Duration) {
	b.ReportMetric(float64(cpuTime()-before)/float64(b.N), "cpu-ns/event")
}

func BenchmarkCallbacksForwarder(b *testing.B) {
	f, err := New(Config{URL: benchSink(b)})
	if err != nil {
		b.Fatal(err)
	}
	f.Start()
	defer f.Drain(context.Background())
	id := []byte("0123456789abcdef0123")
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime()
	for i := range b.N {
		for f.counters.events.Load() >= 1000 {
			time.Sleep(time.Millisecond)
		}
		f.Message(Source{Key: uint64(i % 512), Seq: uint32(i), ConnID: id, User: "alice", Cookie: "session=abcdef"}, benchData, false)
	}
	for f.counters.events.Load() > 0 {
		time.Sleep(100 * time.Microsecond)
	}
	reportCPU(b, before)
}

func BenchmarkCallbacksBareClient(b *testing.B) {
	url := benchSink(b)
	u := fasthttp.AcquireURI()
	if err := u.Parse(nil, []byte(url)); err != nil {
		b.Fatal(err)
	}
	client := &fasthttp.HostClient{Addr: string(u.Host()), MaxConns: 64, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	src := Source{ConnID: []byte("0123456789abcdef0123"), User: "alice"}
	body := appendMessage(nil, &src, benchData, formJSON)
	var next atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime()
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
			req.SetRequestURI(url)
			req.Header.SetMethod(fasthttp.MethodPost)
			req.Header.SetContentType("application/json")
			var id []byte
			for {
				n := next.Add(1)
				if n > int64(b.N) {
					return
				}
				req.Header.SetCookie("session", "abcdef")
				id = strconv.AppendInt(append(id[:0], "0123456789abcdef0123-"...), n, 10)
				req.Header.SetBytesV("X-Request-Id", id)
				req.Header.Set("X-Attempt", "1")
				req.SetBody(body)
				if err := client.Do(req, resp); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	reportCPU(b, before)
}
