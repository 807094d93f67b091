package admin

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ws-gateway/admin/listen"
)

func TestOverAUnixSocketHostAndPeerDoNotMatter(t *testing.T) {
	r := newRig(t)
	path := filepath.Join(t.TempDir(), "admin.sock")
	ln, err := listen.On("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	r.serve(ln)
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: testTimeout}
	get := func(headers http.Header) reply {
		t.Helper()
		req, err := http.NewRequest("GET", "http://gateway"+countPath, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = headers
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return readReply(t, resp)
	}
	if got := get(http.Header{}); got.body != emptyCount {
		t.Errorf("answered %d %s", got.status, got.body)
	}
	if got := get(http.Header{"Origin": {"http://gateway"}}); got.status != 403 {
		t.Errorf("for a web page: %d %s", got.status, got.body)
	}
}

// Cleaners of temporary folders remove sockets.
func TestASocketFileThatWasRemovedIsMadeAnewAndServed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := listen.On("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t)
	served := make(chan error, 1)
	go func() { served <- r.admin.Serve(ln) }()
	ask := func() error {
		c, err := net.Dial("unix", path)
		if err != nil {
			return err
		}
		defer c.Close()
		answer := make([]byte, 12)
		_, err = c.Write([]byte("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"))
		_, readErr := c.Read(answer)
		if string(answer) != "HTTP/1.1 200" {
			return errors.Join(err, readErr, errors.New(string(answer)))
		}
		return nil
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		deadline := time.Now().Add(testTimeout)
		for err = ask(); err != nil && time.Now().Before(deadline); err = ask() {
		}
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the new file: %v, %v", info, err)
		}
	}
	if err := ln.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the file stays: %v", err)
	}
}
