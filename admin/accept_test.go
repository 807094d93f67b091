package admin

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
)

// faulty is a crowd whose Accept first fails with the given errors.
type faulty struct {
	*crowd
	faults chan error
}

func (f *faulty) Accept() (net.Conn, error) {
	select {
	case err := <-f.faults:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: err}
	default:
		return f.crowd.Accept()
	}
}

func faultyWith(faults ...error) *faulty {
	f := &faulty{newCrowd(), make(chan error, len(faults))}
	for _, err := range faults {
		f.faults <- err
	}
	return f
}

func TestAShortageOfDescriptorsPasses(t *testing.T) {
	r := newRig(t)
	ln := faultyWith(syscall.EMFILE, syscall.ENFILE, syscall.ECONNABORTED)
	r.serve(ln)
	w := ln.from(t, "127.0.0.1:1").write("GET " + countPath + " HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if got := w.read("GET"); got.body != emptyCount {
		t.Fatalf("answered %d %s", got.status, got.body)
	}
}

func TestAListenerThatIsBrokenIsAnError(t *testing.T) {
	r := newRig(t)
	if err := r.admin.Serve(faultyWith(syscall.EBADF)); !errors.Is(err, syscall.EBADF) {
		t.Fatalf("Serve: %v", err)
	}
}

func TestShutdownDoesNotWaitForAShortageToPass(t *testing.T) {
	p := backoff{cancel: make(chan struct{})}
	closed := make(chan struct{})
	close(closed)
	p.next = 1 << 40
	p.cancel = closed
	if p.wait(syscall.EMFILE) {
		t.Fatal("the wait was not cancelled")
	}
	if p.next != longestWait {
		t.Fatalf("the next wait is %v, want %v", p.next, longestWait)
	}
}

func TestStrangersCannotTakeTheAppsPlaces(t *testing.T) {
	r := newRig(t)
	ln := newCrowd()
	r.serve(ln)
	guests := make([]*rawConn, maxRemote)
	for i := range guests {
		guests[i] = ln.from(t, fmt.Sprintf("192.0.2.%d:%d", i/maxPeer, i+1))
		if i+1 == maxPeer { // one address has its part
			if got := ln.from(t, "192.0.2.0:9999").read("GET"); got.status != 503 {
				t.Fatalf("one address takes more than %d places: %d", maxPeer, got.status)
			}
		}
	}
	const request = "GET " + countPath + " HTTP/1.1\r\nHost: localhost\r\n\r\n"
	if got := ln.from(t, "198.51.100.1:1").read("GET"); got.status != 503 || !got.close || got.body != `{"code":503,"message":"too many management connections"}` {
		t.Errorf("one stranger more: %d %s", got.status, got.body)
	}
	if got := ln.from(t, "127.0.0.1:1").write(request).read("GET"); got.body != emptyCount {
		t.Errorf("the app: %d %s", got.status, got.body)
	}
	local, remote, refused := r.metric("ws_gateway_api_connections", "local"), r.metric("ws_gateway_api_connections", "remote"), r.metric("ws_gateway_api_connections_refused_total")
	if local != 1 || remote != maxRemote || refused != 2 {
		t.Errorf("counted %v local, %v remote, %v refused", local, remote, refused)
	}
	guests[0].Close()
	await(t, "the place to be free", func() bool {
		return r.metric("ws_gateway_api_connections", "remote") < maxRemote
	})
	got := ln.from(t, "198.51.100.1:2").write(request).read("GET")
	if got.status != 403 || !strings.Contains(got.body, "this host only") {
		t.Errorf("when a place is free again: %d %s", got.status, got.body)
	}
}
