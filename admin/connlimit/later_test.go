package connlimit

import (
	"bytes"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// served is a connection within l, and its client.
func served(t *testing.T, l *Limit) (c *Conn, client *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dialled, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialled.Close() })
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { accepted.Close() })
	given, end := make(chan *Conn), make(chan struct{})
	l.Serve(accepted, func(c *Conn) {
		given <- c
		<-end
	})
	t.Cleanup(func() {
		close(end)
		l.Wait()
	})
	return <-given, dialled.(*net.TCPConn)
}

// await reads want from r.
func await(t *testing.T, r io.Reader, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if n, err := io.ReadFull(r, b); string(b[:n]) != want || err != nil {
		t.Errorf("there came %q, %v; want %q", b[:n], err, want)
	}
}

// writeLater writes an answer that has to wait then.
func writeLater(t *testing.T, c *Conn, answer string) {
	t.Helper()
	c.MaySendLater()
	if n, err := io.WriteString(c, answer); n != len(answer) || err != nil {
		t.Fatalf("writing: %d, %v", n, err)
	}
	if !c.later.waits.Load() {
		t.Fatal("the answer does not wait")
	}
}

func TestAnAnswerThatMayIsSentByTheNextRead(t *testing.T) {
	c, client := served(t, New(Config{Local: 1}))
	done := make(chan struct{})
	go func() {
		defer close(done)
		await(t, client, "answer")
		io.WriteString(client, "next")
	}()
	writeLater(t, c, "answer")
	await(t, c, "next")
	<-done
}

func TestAnAnswerIsSentBeforeWhatFollows(t *testing.T) {
	for name, follow := range map[string]func(c *Conn){
		"another answer":             func(c *Conn) { io.WriteString(c, "more") },
		"another that may wait":      func(c *Conn) { c.MaySendLater(); io.WriteString(c, "more"); c.Close() },
		"the end":                    func(c *Conn) { c.Close() },
		"the end of an unread body":  func(c *Conn) { c.Unread = true; c.Close() },
		"a read that is out of time": func(c *Conn) { c.SetReadDeadline(time.Unix(1, 0)); c.Read(make([]byte, 1)) },
	} {
		c, client := served(t, New(Config{Local: 1}))
		writeLater(t, c, "answer")
		done := make(chan struct{})
		go func() {
			defer close(done)
			follow(c)
			c.Conn.(*net.TCPConn).CloseWrite() // fails if it has ended
		}()
		got, err := io.ReadAll(client)
		want := "answer"
		if strings.HasPrefix(name, "another") {
			want += "more"
		}
		if string(got) != want || err != nil {
			t.Errorf("%s: there came %q, %v; want %q", name, got, err, want)
		}
		client.Close()
		<-done
	}
}

func TestOnlyAShortAnswerWaitsAndOnlyIfItMay(t *testing.T) {
	c, client := served(t, New(Config{Local: 1}))
	io.WriteString(c, "no leave")
	await(t, client, "no leave")
	long := strings.Repeat("x", longestLater+1)
	c.MaySendLater()
	io.WriteString(c, long)
	await(t, client, long)
	io.WriteString(c, "the leave was for one answer")
	await(t, client, "the leave was for one answer")

	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	piped := &Conn{Conn: ours}
	piped.MaySendLater()
	go io.WriteString(piped, "no descriptor")
	await(t, theirs, "no descriptor")
}

// What has come before the answer is sent makes no event any more.
func TestWhatHasComeBeforeTheAnswerIsSentIsRead(t *testing.T) {
	for name, speak := range map[string]func(client *net.TCPConn) string{
		"the next request": func(client *net.TCPConn) string {
			io.WriteString(client, "next")
			return "next"
		},
		"the end": func(client *net.TCPConn) string {
			client.CloseWrite()
			return ""
		},
	} {
		c, client := served(t, New(Config{Local: 1}))
		writeLater(t, c, "answer")
		raw, err := c.Conn.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		begun, seen := make(chan struct{}), make(chan error)
		go func() { // takes the event
			waited := false
			seen <- raw.Read(func(uintptr) bool {
				if !waited {
					waited = true
					close(begun)
					return false
				}
				return true
			})
		}()
		<-begun
		want := speak(client)
		if err := <-seen; err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 10)
		n, err := c.Read(b)
		if string(b[:n]) != want || (err == io.EOF) != (want == "") {
			t.Errorf("%s: %q, %v", name, b[:n], err)
		}
		await(t, client, "answer")
	}
}

func TestAnAnswerThatDoesNotFitIntoTheSocketIsSentWhole(t *testing.T) {
	c, client := served(t, New(Config{Local: 1}))
	raw, err := c.Conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	filled := 0
	if err := raw.Write(func(fd uintptr) bool {
		for chunk := make([]byte, 64<<10); ; {
			n, err := unix.Write(int(fd), chunk)
			if err != nil {
				return true
			}
			filled += n
		}
	}); err != nil {
		t.Fatal(err)
	}
	writeLater(t, c, "answer")
	done := make(chan struct{})
	go func() {
		defer close(done)
		got := make([]byte, filled+len("answer"))
		if _, err := io.ReadFull(client, got); !bytes.HasSuffix(got, []byte("answer")) || err != nil {
			t.Errorf("the answer does not come behind %d bytes: %v", filled, err)
		}
		io.WriteString(client, "next")
	}()
	await(t, c, "next")
	<-done
}

func TestShutSendsTheAnswersThatWait(t *testing.T) {
	for name, shut := range map[string]func(l *Limit, c *Conn){
		"before it is idle": func(l *Limit, c *Conn) {
			l.Shut()
			l.SetBusy(c, false)
		},
		"when it is idle": func(l *Limit, c *Conn) {
			l.SetBusy(c, false)
			l.Shut()
			if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("after Shut: %d, %v", n, err)
			}
			c.Close()
		},
		"when it waits for the next request": func(l *Limit, c *Conn) {
			l.SetBusy(c, false)
			go func() {
				for c.later.waits.Load() {
					runtime.Gosched()
				}
				l.Shut()
			}()
			if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
				t.Errorf("while it waits: %d, %v", n, err)
			}
		},
	} {
		l := New(Config{Local: 1})
		c, client := served(t, l)
		l.SetBusy(c, true)
		writeLater(t, c, "answer")
		done := make(chan struct{})
		go func() {
			defer close(done)
			shut(l, c)
		}()
		got, err := io.ReadAll(client)
		if string(got) != "answer" || err != nil {
			t.Errorf("%s: there came %q, %v", name, got, err)
		}
		<-done
	}
}
