package peers

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// built is the folder with the programs, names what is in it.
var (
	built string
	names = []string{"gnet", "gorilla", "gws", "nbio"}
)

const cGateway = "c-gateway"

func TestMain(m *testing.M) {
	code := 1
	defer func() { os.Exit(code) }()
	dir, err := os.MkdirTemp("", "peers-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	defer os.RemoveAll(dir)
	built = dir
	if text, err := exec.Command("go", "build", "-o", dir+"/", "./...").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, text)
		return
	}
	if cc, err := exec.LookPath("cc"); err == nil {
		for name, source := range map[string]string{"c": "c/server.c", cGateway: "c/gateway.c"} {
			out := filepath.Join(dir, name)
			if text, err := exec.Command(cc, "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-o", out, source).CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "%v\n%s", err, text)
				return
			}
		}
		names = append(names, "c")
	}
	code = m.Run()
}

// start runs a peer until the test ends and returns its address.
func start(t *testing.T, name string, args ...string) string {
	t.Helper()
	args = append([]string{"--listen", "127.0.0.1:0"}, args...)
	if name != cGateway {
		args = append(args, "--procs", "2")
	}
	cmd := exec.Command(filepath.Join(built, name), args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var messages bytes.Buffer
	cmd.Stderr = &messages
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // fails only where it has ended
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s printed: %s", name, messages.String())
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("%s said nothing: %v", name, err)
	}
	addr := strings.TrimSpace(line)
	if _, _, err := net.SplitHostPort(addr); err != nil {
		t.Fatalf("%s printed %q, not an address alone", name, line)
	}
	return addr
}

func patience(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func dial(t *testing.T, ctx context.Context, addr string) *websocket.Conn {
	t.Helper()
	c, _, err := websocket.Dial(ctx, "ws://"+addr+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	c.SetReadLimit(-1)
	return c
}

func send(t *testing.T, ctx context.Context, c *websocket.Conn, op websocket.MessageType, data []byte) {
	t.Helper()
	if err := c.Write(ctx, op, data); err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, ctx context.Context, c *websocket.Conn, op websocket.MessageType, data []byte) {
	t.Helper()
	gotOp, got, err := c.Read(ctx)
	if err != nil || gotOp != op || !bytes.Equal(got, data) {
		t.Fatalf("%v of %d bytes was due, %v of %d bytes came: %v", op, len(data), gotOp, len(got), err)
	}
}

// forEach runs f for every peer, some at a time.
func forEach(t *testing.T, f func(t *testing.T, ctx context.Context, name string)) {
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, patience(t), name)
		})
	}
}

func TestEveryPeerEchoesMessagesOfAllSizes(t *testing.T) {
	forEach(t, func(t *testing.T, ctx context.Context, name string) {
		addr := start(t, name)
		a, b := dial(t, ctx, addr), dial(t, ctx, addr)
		for _, size := range []int{1, // nbio does not deliver empty messages
			64, 125, 126, 700, 5_000, 65_535, 65_536, 1 << 20} {
			data := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
			send(t, ctx, a, websocket.MessageText, data)
			send(t, ctx, b, websocket.MessageBinary, data)
			expect(t, ctx, b, websocket.MessageBinary, data)
			expect(t, ctx, a, websocket.MessageText, data)
		}
	})
}

func TestEveryPeerAnswersMessagesThatArriveTogether(t *testing.T) {
	forEach(t, func(t *testing.T, ctx context.Context, name string) {
		c := dial(t, ctx, start(t, name))
		for i := range 100 {
			send(t, ctx, c, websocket.MessageText, fmt.Appendf(nil, "message %d", i))
		}
		for i := range 100 {
			expect(t, ctx, c, websocket.MessageText, fmt.Appendf(nil, "message %d", i))
		}
	})
}

func TestEveryPeerAnswersPingsAndCloses(t *testing.T) {
	forEach(t, func(t *testing.T, ctx context.Context, name string) {
		c := dial(t, ctx, start(t, name))
		ended := make(chan error, 1)
		go func() {
			_, _, err := c.Read(ctx) // pongs arrive while somebody reads
			ended <- err
		}()
		if err := c.Ping(ctx); err != nil {
			t.Errorf("ping: %v", err)
		}
		_ = c.Close(websocket.StatusNormalClosure, "") // its error depends on who reads the answer first
		if err := <-ended; websocket.CloseStatus(err) != websocket.StatusNormalClosure {
			t.Errorf("close: %v", err)
		}
	})
}

func TestEveryPeerBroadcastsToAllThatAreConnected(t *testing.T) {
	forEach(t, func(t *testing.T, ctx context.Context, name string) {
		addr := start(t, name, "--broadcast")
		all := make([]*websocket.Conn, 20)
		for i := range all {
			all[i] = dial(t, ctx, addr)
			// An echo shows that the server has taken it in, and not only its handshake.
			send(t, ctx, all[i], websocket.MessageText, []byte("here"))
			expect(t, ctx, all[i], websocket.MessageText, []byte("here"))
		}
		all[0].CloseNow()
		for _, data := range [][]byte{[]byte("broadcast one"), bytes.Repeat([]byte("broadcast "), 6_000)} {
			send(t, ctx, all[7], websocket.MessageText, data)
			for _, c := range all[1:] {
				expect(t, ctx, c, websocket.MessageText, data)
			}
		}
		for _, c := range all[1:] { // nothing came twice
			send(t, ctx, c, websocket.MessageBinary, []byte("still here"))
			expect(t, ctx, c, websocket.MessageBinary, []byte("still here"))
		}
	})
}

func TestAPeerThatDoesNotBroadcastEchoes(t *testing.T) {
	forEach(t, func(t *testing.T, ctx context.Context, name string) {
		addr := start(t, name)
		a, b := dial(t, ctx, addr), dial(t, ctx, addr)
		send(t, ctx, a, websocket.MessageText, []byte("broadcast this"))
		expect(t, ctx, a, websocket.MessageText, []byte("broadcast this"))
		send(t, ctx, b, websocket.MessageText, []byte("b's own"))
		expect(t, ctx, b, websocket.MessageText, []byte("b's own"))
	})
}

func TestPeersThatKnowCompressionAgreeOnItWithoutContextTakeover(t *testing.T) {
	for _, name := range []string{"gorilla", "gws", "nbio"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := patience(t)
			addr := start(t, name, "--compression", "--broadcast")
			all := make([]*websocket.Conn, 5)
			for i := range all {
				c, answer, err := websocket.Dial(ctx, "ws://"+addr+"/ws", &websocket.DialOptions{
					CompressionMode: websocket.CompressionNoContextTakeover, CompressionThreshold: 1,
				})
				if err != nil {
					t.Fatal(err)
				}
				defer c.CloseNow()
				if agreed := answer.Header.Get("Sec-WebSocket-Extensions"); !strings.Contains(agreed, "server_no_context_takeover") {
					t.Fatalf("agreed on %q", agreed)
				}
				c.SetReadLimit(-1)
				all[i] = c
				for _, size := range []int{1, 100, 1_024, 70_000} {
					data := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
					send(t, ctx, c, websocket.MessageText, data)
					expect(t, ctx, c, websocket.MessageText, data)
				}
			}
			data := bytes.Repeat([]byte("broadcast "), 100)
			send(t, ctx, all[0], websocket.MessageText, data)
			for _, c := range all {
				expect(t, ctx, c, websocket.MessageText, data)
			}
		})
	}
}
