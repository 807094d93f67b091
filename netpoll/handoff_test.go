package netpoll

import (
	"io"
	"net"
	"testing"
)

// Whoever reads the socket itself must not miss what has been read before.
func TestTheSocketOfAHandedOffConnectionIsThereOnceItsBytesHaveBeenTaken(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := &handedConn{Conn: conn, read: []byte("request")}
	for _, want := range []string{"req", "uest"} {
		if _, err := c.SyscallConn(); err == nil {
			t.Errorf("the socket is there before %q has been taken", want)
		}
		b := make([]byte, len(want))
		if _, err := io.ReadFull(c, b); string(b) != want || err != nil {
			t.Errorf("%q, %v", b, err)
		}
	}
	if _, err := c.SyscallConn(); err != nil {
		t.Errorf("the socket is not there: %v", err)
	}
}
