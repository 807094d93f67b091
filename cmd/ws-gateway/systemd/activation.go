package systemd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"
)

// Sockets are the listeners that systemd has bound (socket activation), so that no
// client finds the port closed while the gateway restarts.
type Sockets struct {
	Clients []*net.TCPListener
	Admin   net.Listener // nil: none
	Metrics net.Listener // nil: none
}

// Inherit returns the listeners that systemd has passed. FileDescriptorName= of the socket
// unit says what a socket is for; without one it is for clients.
func Inherit() (in Sockets, err error) {
	for _, f := range activation.Files(true) {
		err = errors.Join(err, in.take(f), f.Close())
	}
	return in, err
}

func (in *Sockets) take(f *os.File) error {
	name := f.Name()
	ln, err := listenerOf(f)
	if err != nil {
		return fmt.Errorf("socket %q from systemd: %w", name, err)
	}
	switch {
	case name == "admin" && in.Admin == nil:
		in.Admin = ln
	case name == "metrics" && in.Metrics == nil:
		in.Metrics = ln
	case name == "admin", name == "metrics":
		return fmt.Errorf("systemd has passed two sockets with FileDescriptorName=%s: there can be one", name)
	case name == "clients", isUnnamed(name):
		tcp, ok := ln.(*net.TCPListener)
		if !ok {
			return fmt.Errorf("socket %q from systemd: clients need a TCP socket, this one is %s; for the management API give it FileDescriptorName=admin", name, ln.Addr().Network())
		}
		in.Clients = append(in.Clients, tcp)
	default:
		return fmt.Errorf("socket %q from systemd: FileDescriptorName must be clients, admin or metrics", name)
	}
	return nil
}

// isUnnamed reports whether a socket has this name if its unit sets no
// FileDescriptorName: the unit's own name, or none.
func isUnnamed(name string) bool {
	return strings.HasSuffix(name, ".socket") || strings.HasPrefix(name, "LISTEN_FD_") || name == "unknown"
}

var errNotListening = errors.New("it does not listen: it must be a stream socket, with Accept=no")

func listenerOf(f *os.File) (net.Listener, error) {
	if listening, err := unix.GetsockoptInt(int(f.Fd()), unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listening == 0 {
		return nil, errors.Join(errNotListening, err)
	}
	return net.FileListener(f)
}
