// Package rawapp is an app for tests that is a socket and nothing else, so that a test
// writes each byte of an answer itself. It imports none of the project's packages.
package rawapp

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Serve accepts connections on a real socket and calls serve with each, one after the
// other.
func Serve(t *testing.T, serve func(n int, c net.Conn)) (url string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ; n++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(10 * time.Minute))
			context.AfterFunc(t.Context(), func() { _ = c.Close() }) // serve may wait for it
			serve(n, c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = ln.Close(); <-done })
	return "http://" + ln.Addr().String() + "/hook"
}

// ReadHead reads a request's head as it is on the wire, and returns the length of the
// body that follows.
func ReadHead(r *bufio.Reader) (head string, length int) {
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return b.String(), 0
		}
		b.WriteString(line)
		if line == "\r\n" {
			break
		}
	}
	req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(b.String())))
	if err != nil {
		return b.String(), 0
	}
	return b.String(), int(req.ContentLength)
}
