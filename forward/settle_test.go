package forward

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ws-gateway/forward/internal/rawapp"
)

// answeringApp serves each connection on real sockets: it calls respond, which
// writes the answer, for each POST.
func answeringApp(t *testing.T, respond func(c net.Conn, id string)) (url string) {
	t.Helper()
	return "http://" + answeringAt(t, "127.0.0.1:0", respond) + "/"
}

// answeringAt has it listen at address, and returns where it really does.
func answeringAt(t *testing.T, address string, respond func(c net.Conn, id string)) string {
	t.Helper()
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				context.AfterFunc(t.Context(), func() { c.Close() }) // of a forwarder that a failed test leaves
				r := bufio.NewReader(c)
				for {
					head, length := rawapp.ReadHead(r)
					if _, err := io.CopyN(io.Discard, r, int64(length)); err != nil || head == "" {
						return
					}
					_, rest, _ := strings.Cut(head, "X-Request-Id: ")
					id, _, _ := strings.Cut(rest, "\r\n")
					respond(c, id)
				}
			})
		}
	})
	t.Cleanup(func() { _ = ln.Close(); serving.Wait() })
	return ln.Addr().String()
}

func TestWhatTheAppDoesAfterItsAnswerComesAfterTheReply(t *testing.T) {
	answer := func(_ int, id string) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(id), id)
	}
	heededFirst(t, answer, func(heed func(key uint64, seq string)) Config {
		return Config{Reply: func(key uint64, r Reply) {
			_, seq, _ := strings.Cut(string(r.Body), "-")
			heed(key, seq)
		}}
	})
}

// heededFirst requires Settle to return only after what an answer says has been heeded. An
// app answers each event and then calls Settle; the Config's functions call heed with the
// number of the event that was answered.
func heededFirst(t *testing.T, answer func(seq int, id string) string, config func(heed func(key uint64, seq string)) Config) {
	t.Helper()
	const lanes, events = 32, 60
	var heeded [lanes]atomic.Int64
	var judged atomic.Int64
	var f *Forwarder
	url := answeringApp(t, func(c net.Conn, id string) {
		lane, number, _ := strings.Cut(id[1:], "-")
		key, _ := strconv.Atoi(lane)
		seq, _ := strconv.Atoi(number)
		_, _ = io.WriteString(c, answer(seq, id))
		start := time.Now()
		if seq%2 == 0 {
			f.Settle(context.Background(), uint64(key))
		} else {
			f.Settle(context.Background())
		}
		if time.Since(start) >= settleLimit {
			return // it has given up, as it may on a machine so busy
		}
		judged.Add(1)
		if got := heeded[key].Load(); got < int64(seq) {
			t.Errorf("event %s: the last answer that was heeded is %d's", id, got)
		}
	})
	cfg := config(func(key uint64, seq string) {
		n, _ := strconv.ParseInt(seq, 10, 64)
		heeded[key].Store(n)
	})
	cfg.URL = url
	f, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	f.Start()
	for seq := range events {
		for key := range lanes {
			f.Message(source(key, seq+1), []byte("1"), false)
		}
	}
	equal(t, "left over", f.Drain(within(t, longWait)), Leftover{})
	if judged.Load() == 0 {
		t.Error("it has given up every time")
	}
}

func TestSettleWaitsForNoAnswerThatHasNotArrived(t *testing.T) {
	arrived := make(chan struct{})
	part, sendPart := context.WithCancel(t.Context())
	rest, sendRest := context.WithCancel(t.Context())
	url := answeringApp(t, func(c net.Conn, id string) {
		arrived <- struct{}{}
		<-part.Done()
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Le")
		arrived <- struct{}{}
		<-rest.Done()
		_, _ = io.WriteString(c, "ngth: 2\r\n\r\nok")
		arrived <- struct{}{}
	})
	replies := make(chan string, 1)
	released, release := context.WithCancel(t.Context())
	f, err := New(Config{URL: url, Reply: func(_ uint64, r Reply) {
		<-released.Done()
		replies <- string(r.Body)
	}})
	if err != nil {
		t.Fatal(err)
	}
	f.Start()
	t.Cleanup(func() { f.Drain(context.Background()) }) // deferred, it would wait for a reply that a failed test does not release
	ctx := within(t, longWait)
	settle := func(keys ...uint64) time.Duration {
		start := time.Now()
		f.Settle(ctx, keys...)
		return time.Since(start)
	}
	settle() // idle
	f.Message(source(1, 0), []byte("1"), false)
	<-arrived
	settle()
	sendPart()
	<-arrived
	settle()
	equal(t, "replies", len(replies), 0)
	sendRest()
	<-arrived
	if d := settle(2); d >= settleLimit {
		t.Errorf("waited %v for another connection", d)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	f.Settle(canceled)
	equal(t, "replies before they are released", len(replies), 0)
	if d := settle(); d < settleLimit || ctx.Err() != nil { // the reply is stuck
		t.Errorf("waited %v for a reply that hangs", d)
	}
	release()
	settle(1)
	equal(t, "reply", take(t, replies), "ok")
}

func TestWithoutRepliesNothingIsWatched(t *testing.T) {
	f, err := New(Config{URL: "http://127.0.0.1:1/"})
	if err != nil {
		t.Fatal(err)
	}
	f.Start()
	defer f.Drain(ended())
	f.Settle(context.Background())
	for _, w := range f.workers {
		if w.client.Watch != nil {
			t.Fatal("watched")
		}
	}
}
