package forward

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// What callbacks cost:
//
//	go test -run - -bench Callbacks -benchtime 200000x -count 5 ./forward/
//
// cpu-ns/event is user and system time of the client alone: the sink is a process of its
// own.

var benchData = []byte(`{"event":"chat","data":{"room":17,"text":"hello, world"}}`)

const (
	benchConn    = "0123456789abcdef0123"
	sinkVariable = "FORWARD_TEST_SINK" // set in the process that is the sink
)

// serveSink is an app that answers everything with an empty 200, until its
// standard input ends.
func serveSink() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(ln.Addr())
	go func() {
		_ = fasthttp.Serve(ln, func(*fasthttp.RequestCtx) {})
	}()
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func startSink(b *testing.B) (url string) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), sinkVariable+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return "http://" + strings.TrimSpace(addr) + "/ws/message"
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// measure runs b.N events through run and reports what they cost.
func measure(b *testing.B, run func()) {
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime()
	run()
	b.ReportMetric(float64(cpuTime()-before)/float64(b.N), "cpu-ns/event")
}

// BenchmarkCallbacksForwarder keeps so many connections with one event each,
// the next being appended when the one before has been delivered.
func BenchmarkCallbacksForwarder(b *testing.B) {
	for _, lanes := range []int{1, 16, 64} {
		b.Run(strconv.Itoa(lanes), func(b *testing.B) {
			again := make(chan uint64, lanes)
			f, err := New(Config{
				URL:         startSink(b),
				QueueEvents: 1, // each event fills its lane, and its end drains it
				Drained:     func(key uint64) { again <- key },
			})
			if err != nil {
				b.Fatal(err)
			}
			f.Start()
			defer f.Drain(context.Background())
			id := []byte(benchConn)
			for key := range lanes {
				again <- uint64(key)
			}
			measure(b, func() {
				for i := range b.N {
					f.Message(Source{Key: <-again, Seq: uint32(i), ConnID: id, User: "alice", Headers: "session=abcdef"}, benchData, false)
				}
				for range lanes {
					<-again
				}
			})
		})
	}
}

// BenchmarkCallbacksBatches sends the same in batches of 100, from so many
// connections with one event each.
func BenchmarkCallbacksBatches(b *testing.B) {
	const lanes = 2000
	again := make(chan uint64, lanes)
	f, err := New(Config{
		URL:         startSink(b),
		Batch:       100,
		Linger:      5 * time.Millisecond,
		QueueEvents: 1,
		Drained:     func(key uint64) { again <- key },
	})
	if err != nil {
		b.Fatal(err)
	}
	f.Start()
	defer f.Drain(context.Background())
	id := []byte(benchConn)
	for key := range lanes {
		again <- uint64(key)
	}
	measure(b, func() {
		for i := range b.N {
			f.Message(Source{Key: <-again, Seq: uint32(i), ConnID: id, User: "alice", Headers: "session=abcdef"}, benchData, false)
		}
		for range lanes {
			<-again
		}
	})
	b.ReportMetric(float64(b.N)/float64(f.Stats().Attempts), "events/POST")
}

// BenchmarkCallbacksBareClient has so many goroutines POST the same with
// fasthttp's client.
func BenchmarkCallbacksBareClient(b *testing.B) {
	for _, clients := range []int{1, 16, 64} {
		b.Run(strconv.Itoa(clients), func(b *testing.B) {
			url := startSink(b)
			host, _, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
			client := &fasthttp.HostClient{
				Addr: host, MaxConns: clients, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second,
				MaxIdleConnDuration: 100 * time.Millisecond, // so that its cleaner is gone soon after
			}
			defer client.CloseIdleConnections()
			src := Source{ConnID: []byte(benchConn), User: "alice"}
			body := appendMessage(nil, &src, benchData, formJSON)
			var next atomic.Int64
			measure(b, func() {
				var wg sync.WaitGroup
				for range clients {
					wg.Go(func() {
						if err := postBare(client, url, body, &next, int64(b.N)); err != nil {
							b.Error(err)
						}
					})
				}
				wg.Wait()
			})
		})
	}
}

func postBare(client *fasthttp.HostClient, url string, body []byte, next *atomic.Int64, end int64) error {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.SetRequestURI(url)
	req.Header.SetMethod(fasthttp.MethodPost)
	req.Header.SetContentType("application/json")
	req.Header.SetCookie("session", "abcdef")
	req.Header.Set("X-Attempt", "1")
	var id []byte
	for n := next.Add(1); n <= end; n = next.Add(1) {
		id = strconv.AppendInt(append(id[:0], benchConn+"-"...), n, 10)
		req.Header.SetBytesV("X-Request-Id", id)
		req.SetBody(body)
		if err := client.Do(req, resp); err != nil {
			return err
		}
	}
	return nil
}
