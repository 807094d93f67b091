package e2e_test

import (
	"encoding/binary"
	"errors"
	"net"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// socketItself is what the kernel takes for a socket beside what it holds for it
// (ws-bench idle).
const socketItself = 4096

// kernelMemory is what the kernel holds for the gateway's client connections: it is
// asked over netlink (sock_diag(7)) for each socket with the gateway's port.
func (g *gateway) kernelMemory() (bytes int64) {
	g.T.Helper()
	_, port, err := net.SplitHostPort(g.Addr)
	if err != nil {
		g.T.Fatal(err)
	}
	number, _ := strconv.Atoi(port)
	for _, s := range tcpSockets(g.T) {
		if s.port == uint16(number) {
			bytes += s.memory + socketItself
		}
	}
	return bytes
}

type diagnosed struct {
	port   uint16
	memory int64 // arrived and not read, sent and not acknowledged, and set aside
}

const (
	diagRequest = 16 + 56 // struct nlmsghdr, struct inet_diag_req_v2
	diagMessage = 72      // struct inet_diag_msg
	skMemInfo   = 7       // INET_DIAG_SKMEMINFO
)

func tcpSockets(t testing.TB) (sockets []diagnosed) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	request := make([]byte, diagRequest)
	binary.NativeEndian.PutUint32(request, diagRequest)
	binary.NativeEndian.PutUint16(request[4:], unix.SOCK_DIAG_BY_FAMILY)
	binary.NativeEndian.PutUint16(request[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	request[16], request[17], request[18] = unix.AF_INET, unix.IPPROTO_TCP, 1<<(skMemInfo-1)
	binary.NativeEndian.PutUint32(request[20:], ^uint32(0)) // in all states
	if err := unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1<<16)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		messages, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messages {
			switch m.Header.Type {
			case unix.NLMSG_DONE:
				return sockets
			case unix.NLMSG_ERROR:
				t.Fatal("the kernel does not say what it holds for sockets")
			default:
				sockets = append(sockets, diagnose(m.Data))
			}
		}
	}
}

func diagnose(data []byte) diagnosed {
	s := diagnosed{port: binary.BigEndian.Uint16(data[4:])}
	for rest := data[diagMessage:]; len(rest) >= 4; {
		length, kind := int(binary.NativeEndian.Uint16(rest)), binary.NativeEndian.Uint16(rest[2:])
		if length < 4 || length > len(rest) {
			break
		}
		if value := rest[4:length]; kind == skMemInfo && len(value) >= 24 {
			arrived, setAside, sent := value[0:], value[16:], value[20:]
			for _, part := range [][]byte{arrived, setAside, sent} {
				s.memory += int64(binary.NativeEndian.Uint32(part))
			}
		}
		rest = rest[min(len(rest), (length+3)&^3):]
	}
	return s
}
