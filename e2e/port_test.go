package e2e_test

import (
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
)

// port is a TCP port on 127.0.0.1 that stays ours while nobody listens on it,
// so that an app can be down (connections are refused) and come back, and no
// parallel test is given its port meanwhile.
type port struct {
	fd     int
	number int
}

func reservePort(t testing.TB) *port {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		t.Fatal(err)
	}
	// A port that the kernel chose is given up when listening ends; only one
	// that was named in bind is kept. So learn a free one, then name it, again if
	// somebody was quicker.
	for {
		probe, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		number := probe.Addr().(*net.TCPAddr).Port
		probe.Close()
		switch err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: number, Addr: [4]byte{127, 0, 0, 1}}); err {
		case nil:
			return &port{fd, number}
		case syscall.EADDRINUSE:
		default:
			t.Fatal(err)
		}
	}
}

// open begins to listen.
func (p *port) open(t testing.TB) net.Listener {
	t.Helper()
	if err := syscall.Listen(p.fd, 1024); err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Dup(p.fd)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), fmt.Sprintf("port %d", p.number))
	defer file.Close()
	listener, err := net.FileListener(file)
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// refuse ends the listening; the port stays bound.
func (p *port) refuse() { _ = syscall.Shutdown(p.fd, syscall.SHUT_RD) }
