package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"golang.org/x/sys/unix"

	"ws-gateway/e2e/harness"
)

// The attacks of these tests are the ones that a gateway died of which had bounds for
// each connection only. They run at the limits of the examples in deploy/: what the
// example gives the gateway is its limit here (as GOMEMLIMIT, from which the bounds
// of memory follow as they do from a cgroup's), and what the process and the kernel
// hold for it must stay below.

// deployed is a gateway as an example in deploy/ runs it.
type deployed struct {
	name  string
	limit int64 // bytes
	args  []string
}

// examples reads the ways to run the gateway that have, or are given, a limit.
func examples(t *testing.T) []deployed {
	t.Helper()
	return []deployed{
		sidecarExample(t),
		{name: "Olares", limit: olaresLimit(t)},
		{name: "Debian package and systemd unit", limit: unitLimit(t), args: []string{"--config", absolute(t, "package/gateway.yaml"), "--admin-listen=127.0.0.1:0"}},
	}
}

func readExample(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../deploy/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func absolute(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs("../deploy/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func sidecarExample(t *testing.T) deployed {
	t.Helper()
	text, _, _ := strings.Cut(readExample(t, "kubernetes/sidecar.yaml"), "\n---\n")
	var parsed struct {
		Spec struct {
			Template struct {
				Spec struct {
					Containers []struct {
						Name      string
						Args      []string
						Resources struct{ Limits struct{ Memory string } }
					}
				}
			}
		}
	}
	if err := yaml.Unmarshal([]byte(text), &parsed); err != nil {
		t.Fatal(err)
	}
	for _, c := range parsed.Spec.Template.Spec.Containers {
		if c.Name != "ws-gateway" {
			continue
		}
		d := deployed{name: "Kubernetes", limit: bytesOf(t, c.Resources.Limits.Memory)}
		for _, arg := range c.Args {
			switch option, _, _ := strings.Cut(arg, "="); option {
			case "--max-connections", "--max-pending-bytes", "--max-message-size", "--max-header-bytes", "--header-memory", "--outbox-memory",
				"--message-memory", "--socket-memory", "--socket-buffer", "--callback-memory", "--api-memory", "--max-api-body", "--memory-share":
				d.args = append(d.args, arg)
			}
		}
		return d
	}
	t.Fatal("the example has no container ws-gateway")
	return deployed{}
}

func olaresLimit(t *testing.T) int64 {
	t.Helper()
	found := regexp.MustCompile(`(?m)^\s*limitedMemory: (\S+)$`).FindStringSubmatch(readExample(t, "olares/OlaresManifest.yaml"))
	if found == nil {
		t.Fatal("the manifest has no limitedMemory")
	}
	return bytesOf(t, found[1])
}

// unitLimit is what the unit suggests.
func unitLimit(t *testing.T) int64 {
	t.Helper()
	found := regexp.MustCompile(`(?m)^#?MemoryMax=(\S+)$`).FindStringSubmatch(readExample(t, "systemd/ws-gateway.service"))
	if found == nil {
		t.Fatal("the unit has no MemoryMax")
	}
	return bytesOf(t, found[1])
}

func bytesOf(t *testing.T, text string) int64 {
	t.Helper()
	text = strings.TrimSuffix(text, "i")
	unit := int64(1)
	for suffix, bytes := range map[string]int64{"M": 1 << 20, "G": 1 << 30} {
		if number, ok := strings.CutSuffix(text, suffix); ok {
			text, unit = number, bytes
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n == 0 {
		t.Fatalf("%q is no limit", text)
	}
	return n * unit
}

// startDeployed starts it under its limit, with the app at url.
func startDeployed(t *testing.T, d deployed, url string) *gateway {
	t.Helper()
	return launch{
		binary: harness.Plain(t), args: append(append([]string{}, d.args...), "--callback-url="+url, "--callback-reply", "--loops=2",
			"--admin-listen="), // its port is one that another test may have
		env: []string{fmt.Sprintf("GOMEMLIMIT=%d", d.limit)},
	}.start(t)
}

// fits requires that what the process has ever held, and what the kernel holds for it
// now, is within the limit.
func (g *gateway) fits(limit int64) {
	g.T.Helper()
	process, kernel := g.peakMemory(), g.kernelMemory()
	g.T.Logf("of %d MiB the process has held %d at most, the kernel holds %d for it", limit>>20, process>>20, kernel>>20)
	if process+kernel > limit {
		g.T.Errorf("the process held %d MiB and the kernel %d, the limit is %d", process>>20, kernel>>20, limit>>20)
	}
}

// peakMemory is the most that the process has held.
func (g *gateway) peakMemory() int64 {
	g.T.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.Cmd.Process.Pid))
	if err != nil {
		g.T.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB$`).FindSubmatch(status)
	if found == nil {
		g.T.Fatal("the process has no VmHWM")
	}
	n, _ := strconv.ParseInt(string(found[1]), 10, 64)
	return n << 10
}

// good are clients that notice nothing of an attack: they are asked now and then
// whether they are well.
type good struct {
	t       *testing.T
	clients []*client
	sent    int
}

// nice connects n clients with cookies of usual size.
func (g *gateway) nice(t *testing.T, n int) *good {
	t.Helper()
	all := &good{t: t}
	for i := range n {
		all.clients = append(all.clients, g.Connect(t, visitor{User: fmt.Sprint("good-", i), Cookie: "session=" + strings.Repeat("c", 1000)}))
	}
	return all
}

// well requires that each gets the answer to its message, which comes in two
// segments, and to its ping.
func (all *good) well() {
	all.t.Helper()
	all.sent++
	for _, c := range all.clients {
		c.Send(`{"event":"ping"}`)
		c.Receive(`{"event":"pong"}`)
		message := frame(fin|opText, fmt.Sprint(all.sent))
		for _, part := range []string{message[:4], message[4:]} {
			if _, err := io.WriteString(c.TCP, part); err != nil {
				all.t.Fatalf("a good client cannot send: %v", err)
			}
		}
		c.Receive(`"well"`)
	}
}

// answering is an app whose answer to an attacker's message is large. It keeps
// nothing of what it is told: it is told much.
func answering(t *testing.T, size int) (url string) {
	large := `"` + strings.Repeat("r", size-2) + `"`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var event struct {
			Action   string `json:"action"`
			UserName string `json:"user_name"`
		}
		if err := json.NewDecoder(r.Body).Decode(&event); err != nil {
			t.Errorf("an event is no JSON: %v", err)
		}
		w.Header().Set("Content-Type", "application/json")
		switch {
		case event.Action != "message":
		case strings.HasPrefix(event.UserName, "good-"):
			io.WriteString(w, `"well"`)
		default:
			io.WriteString(w, large)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// hostile opens a connection as an attacker does, who looks at nothing.
func (g *gateway) hostile(t *testing.T, head string) (net.Conn, int) {
	t.Helper()
	conn, err := net.Dial("tcp", g.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(harness.Soon())
	if _, err := io.WriteString(conn, head); err != nil {
		return conn, 0
	}
	var status [12]byte
	if _, err := io.ReadFull(conn, status[:]); err != nil {
		return conn, 0
	}
	code, _ := strconv.Atoi(string(status[9:]))
	return conn, code
}

// ofFullSize makes an attack as large as it is meant if make check-memory has asked
// for it, which takes minutes. In make test it is a fifth of that, which is several
// times what the budgets hold.
func ofFullSize(attackers int) int {
	if os.Getenv("WS_GATEWAY_FULL_ATTACKS") != "" {
		return attackers
	}
	return attackers / 5
}

// TestLargeCookiesDoNotFillTheMemoryOfAnyExample: as many handshakes with a cookie of
// 32 KiB, less what the rest of the head takes, as the test has descriptors for, at
// most 15,100, then silence.
func TestLargeCookiesDoNotFillTheMemoryOfAnyExample(t *testing.T) {
	for _, d := range examples(t) {
		t.Run(d.name, func(t *testing.T) {
			g := startDeployed(t, d, answering(t, 100))
			nice := g.nice(t, 10)
			nice.well()
			head := g.handshake("X-Bfl-User: hostile", "Cookie: a="+strings.Repeat("c", 31<<10)) + "\r\n"
			answers := map[int]int{}
			attackers := hostileConnections(t, ofFullSize(15_100))
			for i := range attackers {
				_, code := g.hostile(t, head)
				answers[code]++
				if i%(attackers/10) == 0 {
					nice.well()
				}
			}
			nice.well()
			t.Logf("%d handshakes were answered with %v", attackers, answers)
			g.fits(d.limit)
			if held := 31 << 10 * int64(attackers); held > d.limit/16 && answers[http.StatusRequestHeaderFieldsTooLarge] == 0 {
				t.Errorf("nobody was refused with 431: %v", answers)
			}
			g.awaitMetric(t, `ws_gateway_memory_used_bytes{budget="headers"}`, 1)
			if used, limit := g.metricNow(t, `ws_gateway_memory_used_bytes{budget="headers"}`), g.metricNow(t, `ws_gateway_memory_limit_bytes{budget="headers"}`); used > limit {
				t.Errorf("%.0f bytes of heads are held, the bound is %.0f", used, limit)
			}
			g.Connect(t, visitor{User: "newcomer", Cookie: strings.Repeat("c", 1000)}) // of usual size: it notices nothing
		})
	}
}

// TestLargeHeadsGiveWayToSmallerOnes: clients with the largest cookies fill
// --header-memory, until another one of their kind is refused. Who comes then with a
// cookie that counts, but is much smaller, is let in, and large ones are closed for it.
func TestLargeHeadsGiveWayToSmallerOnes(t *testing.T) {
	for _, loops := range []string{"1", "2"} {
		t.Run("loops "+loops, func(t *testing.T) {
			t.Parallel()
			g := startPushOnly(t, "--header-memory=256KiB", "--loops="+loops)
			large := g.handshake("Cookie: a="+strings.Repeat("c", 31<<10)) + "\r\n"
			full := false
			for range 100 {
				if _, code := g.hostile(t, large); code == http.StatusRequestHeaderFieldsTooLarge {
					full = true
					break
				}
			}
			if !full {
				t.Fatal("nobody was refused")
			}
			for i := range 20 {
				if _, code := g.hostile(t, g.handshake("Cookie: a="+strings.Repeat("c", 6<<10))+"\r\n"); code != http.StatusSwitchingProtocols {
					t.Fatalf("newcomer %d was answered with %d", i, code)
				}
			}
			g.awaitMetric(t, `ws_gateway_closed_total{cause="head_too_large"}`, 2)
		})
	}
}

// hostileConnections is how many of wanted there are descriptors for.
func hostileConnections(t *testing.T, wanted int) int {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	room := int(min(limit.Cur, 1<<20)) - 1000
	if room < 1000 {
		t.Fatalf("the descriptor limit leaves room for %d connections: raise it (ulimit -n)", room)
	}
	return min(wanted, room)
}

// TestClientsThatNeverReadDoNotFillTheMemoryOfAnyExample: 500 clients send 60
// messages of two bytes each and read none of the replies of 60 kB.
func TestClientsThatNeverReadDoNotFillTheMemoryOfAnyExample(t *testing.T) {
	t.Parallel()
	for _, d := range examples(t) {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			g := startDeployed(t, d, answering(t, 60_000))
			nice := g.nice(t, 10)
			nice.well()
			messages := strings.Repeat(frame(fin|opText, "12"), 60)
			head := g.handshake("X-Bfl-User: hostile") + "\r\n"
			for i := range ofFullSize(500) {
				conn, code := g.hostile(t, head)
				if code != http.StatusSwitchingProtocols {
					t.Fatalf("attacker %d was answered with %d", i, code)
				}
				if _, err := io.WriteString(conn, messages); err != nil {
					t.Fatal(err)
				}
				if i%(ofFullSize(500)/10) == 0 {
					nice.well()
				}
			}
			// Each reply has been given to its connection, or found it closed.
			harness.Poll(t, "all replies to be dealt with", func() bool {
				g.sample(d.limit)
				return g.metricNow(t, "ws_gateway_callback_queue_events") == 0
			})
			nice.well()
			g.fits(d.limit)
			if n := g.metricNow(t, "ws_gateway_callbacks_in_flight"); n > 64 {
				t.Errorf("%v callbacks are in flight", n)
			}
		})
	}
}

// sample looks at what the kernel holds while an attack goes on.
func (g *gateway) sample(limit int64) {
	g.T.Helper()
	if process, kernel := g.peakMemory(), g.kernelMemory(); process+kernel > limit {
		g.T.Fatalf("the process held %d MiB and the kernel %d, the limit is %d", process>>20, kernel>>20, limit>>20)
	}
}

// TestMessagesThatAreNeverFinishedKeepNobodyOut: clients that leave 1 MiB, or less,
// unfinished fill --message-memory; others' messages come in two segments, small ones
// and the largest that may be.
func TestMessagesThatAreNeverFinishedKeepNobodyOut(t *testing.T) {
	for _, test := range []struct {
		name string
		size func(attacker int) int
	}{
		{"large ones", func(int) int { return 1<<20 - 100 }},
		{"half of what may be", func(int) int { return 512 << 10 }},
		{"smaller and smaller", func(i int) int { return max(1<<20>>(i/8), 1<<10) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := startGateway(t, startApp(t), "--message-memory=16MiB", "--loops=2")
			victim := g.rawClient(t, "victim")
			large := frame(fin|opText, `"`+strings.Repeat("l", 1<<20-10)+`"`)
			for i := range 60 {
				conn, code := g.hostile(t, g.handshake("X-Bfl-User: hostile")+"\r\n")
				if code != http.StatusSwitchingProtocols {
					t.Fatalf("answered with %d", code)
				}
				part := string(frameHead(fin|opText, 0x80, 1<<20)) + "\x00\x00\x00\x00" + strings.Repeat("x", test.size(i))
				_, _ = io.WriteString(conn, part) // it may have had to give way already
				if i%4 == 0 {
					victim.say(frame(fin|opText, `{"event":`)[:5])
					victim.say(frame(fin|opText, `{"event":`)[5:])
				}
			}
			uploader := g.rawClient(t, "uploader")
			uploader.say(large[:300_000])
			victim.say(frame(fin|opPing, "?"))
			victim.expect(fin|opPong, "?") // the gateway has turned, and goes on
			uploader.say(large[300_000:])
			uploader.say(frame(fin|opPing, "!"))
			uploader.expect(fin|opPong, "!")
			victim.say(frame(fin|opPing, "!"))
			victim.expect(fin|opPong, "!")
			if test.name != "smaller and smaller" {
				g.awaitMetric(t, `ws_gateway_memory_gave_way_total{budget="messages"}`, 1)
			}
			g.expectMetric(t, `ws_gateway_memory_limit_bytes{budget="messages"}`, 16<<20)
			if used := g.metricNow(t, `ws_gateway_memory_used_bytes{budget="messages"}`); used > 17<<20 {
				t.Errorf("%.0f bytes are held", used)
			}
		})
	}
}
