package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"ws-gateway/e2e/harness"
)

// onTerminal runs a command whose output and notes are a terminal of so many
// columns, and returns what that shows.
func onTerminal(t *testing.T, columns uint16, stdin string, env []string, args ...string) typed {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	master, slave := openTerminal(t, columns)
	cmd := exec.CommandContext(ctx, harness.Plain(t), args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), slave, slave
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "GORACE=atexit_sleep_ms=20"}, env...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	var shown bytes.Buffer
	_, err := io.Copy(&shown, master)
	if err != nil && !errors.Is(err, syscall.EIO) { // which is the end
		t.Error(err)
	}
	master.Close()
	return typed{harness.ExitCode(cmd.Wait()), strings.ReplaceAll(shown.String(), "\r\n", "\n"), ""}
}

func openTerminal(t *testing.T, columns uint16) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}); err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return master, slave
}

var paints = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// fits requires that no line is wider than the terminal. Wide characters are not
// among what the test shows, so that runes count.
func fits(t *testing.T, columns int, what, shown string) {
	t.Helper()
	for line := range strings.Lines(shown) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(paints.ReplaceAllString(line, ""), "\n")); n > columns {
			t.Errorf("%s: %d columns of %d: %q", what, n, columns, line)
		}
	}
}

func TestAnEmptyMessageIsSentOnPurposeOnly(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	c := g.Dial(t, "alice")
	const hint = "to send an empty message, give '' as the message"
	for _, stdin := range []string{"", "\n", "\r\n"} {
		g.cli(t, stdin, "send", "--user", "alice").failed(t, 78, hint)
		g.cli(t, stdin, "send", "--user", "alice", "--text").failed(t, 78, hint)
	}
	g.cli(t, "", "send", "--user", "alice", "--binary").failed(t, 78, hint)
	g.cli(t, "", "send", "--user", "alice", "--file", "-").failed(t, 78, "standard input has nothing in it")
	g.cli(t, "x", "send", "--user", "alice", "--file", harness.WriteFile(t, "empty", "")).failed(t, 78, "has nothing in it")
	g.cli(t, "unused", "send", "--user", "alice", "").done(t, "")
	c.Receive("")
	g.cli(t, "", "send", "--user", "alice", "--binary", "").done(t, "")
	c.ReceiveBinary("")
	g.cli(t, "\n", "send", "--user", "alice", "--binary").done(t, "")
	c.ReceiveBinary("\n")
}

func TestWhoeverMeansNobodyIsToldOnATerminalAndByTheExitCodeOnRequest(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	c := g.Dial(t, "alice")
	env := []string{"WS_GATEWAY_GATEWAY=http://" + g.Addr}
	const note = "ws-gateway: matched 0: no such connection is open; list shows those that are\n"
	for _, command := range [][]string{{"send", "x"}, {"close"}} {
		command := func(args ...string) []string { return append(command, args...) }
		for args, want := range map[string]typed{
			"--user nobody":                {0, note, ""},
			"--conn gone":                  {0, note, ""},
			"--user nobody --fail-if-none": {4, note, ""},
			"--user nobody --json":         {0, success + "\n", ""},
		} {
			if got := onTerminal(t, 80, "", env, command(strings.Fields(args)...)...); got != want {
				t.Errorf("%v %s: %+v", command(), args, got)
			}
		}
		g.cli(t, "", command("--user", "nobody")...).done(t, "")
		g.cli(t, "", command("--user", "nobody", "--json")...).done(t, success+"\n")
		g.cli(t, "", command("--user", "nobody", "--fail-if-none")...).failed(t, 4, "matched 0")
		got := g.cli(t, "", command("--user", "nobody", "--fail-if-none", "--json")...)
		if got.code != 4 || !strings.HasPrefix(got.stdout, `{"code":0,"message":"success","data":{"matched":0`) || got.stderr != note {
			t.Errorf("%+v", got)
		}
		got = g.cli(t, "", command("--user", "nobody", "--fail-if-none", "--report")...)
		if got.code != 4 || !strings.HasPrefix(got.stdout, "matched 0") || got.stderr != note {
			t.Errorf("%+v", got)
		}
		if got := onTerminal(t, 80, "", env, command("--user", "nobody", "--report")...); got.code != 0 || !strings.HasPrefix(got.stdout, "matched 0") || strings.Count(got.stdout, "\n") != 1 {
			t.Errorf("%+v", got)
		}
	}
	g.cli(t, "", "send", "--user", "alice", "--fail-if-none", "x").done(t, "")
	c.Receive("x")
	if got := onTerminal(t, 80, "", env, "send", "--user", "alice", "y"); got != (typed{0, "", ""}) {
		t.Errorf("%+v", got)
	}
	c.Receive("y")
	g.cli(t, "", "close", "--user", "alice", "--user", "nobody", "--report").done(t, "matched 1\n")
	c.ClosedWith(1000, "")
}

func TestNamesThatAreNoUTF8AreRefusedInsteadOfChanged(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	for _, args := range [][]string{
		{"send", "--user", "al\xff", "x"}, {"send", "--conn", "\xff", "x"}, {"close", "--user", "\xff"}, {"close", "--all", "--exclude", "\xff"},
		{"close", "--all", "--reason", "\xff"}, {"list", "--user", "\xff"}, {"tail", "--user", "\xff"},
	} {
		g.cli(t, "", args...).failed(t, 78, `must be UTF-8, not "`)
	}
}

func TestSendTakesSeveralConnections(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	a, b := g.Dial(t, "a"), g.Dial(t, "b")
	g.cli(t, "", "send", "--conn", g.only("a"), "--conn", g.only("b"), "--conn", g.only("a"), "--conn", "gone", "--report", "both").done(t, "matched 2, queued 2, slow 0\n")
	a.Receive("both")
	b.Receive("both")
	g.cli(t, "", "send", "--conn", g.only("a"), "--conn", g.only("b"), "--user", "b", "--report", "b's").done(t, "matched 1, queued 1, slow 0\n")
	b.Receive("b's")
	g.cli(t, "", "send", "--conn", g.only("a"), "--user", "b", "--report", "nobody's").done(t, "matched 0, queued 0, slow 0\n")
	g.cli(t, "", "send", "--all", "end").done(t, "")
	a.Receive("end")
	b.Receive("end")
}

func TestHelpVersionAndMistypedCommandsAreAnswered(t *testing.T) {
	t.Parallel()
	for args, part := range map[string]string{
		"help":            "Usage: ws-gateway <command>",
		"help help":       "Usage: ws-gateway <command>",
		"help send":       "Usage: ws-gateway send",
		"help check":      "Usage: ws-gateway check",
		"help completion": "Usage: ws-gateway completion",
		"help version":    "Usage: ws-gateway version",
		"version --help":  "Usage: ws-gateway version",
		"version":         "ws-gateway dev",
		"--version":       "ws-gateway dev",
	} {
		if got := cli(t, "", nil, strings.Fields(args)...); got.code != 0 || got.stderr != "" || !strings.HasPrefix(got.stdout, part) {
			t.Errorf("%s: %d, %.100q, %q", args, got.code, got.stdout, got.stderr)
		}
	}
	for args, part := range map[string]string{
		"sned":                            `unknown command "sned", did you mean send?`,
		"chekc --json":                    `unknown command "chekc", did you mean check?`,
		"help lst":                        `unknown command "lst", did you mean list?`,
		"xyzzy":                           `unknown command "xyzzy": ws-gateway help lists those that there are`,
		"a\x1b[31mb":                      `unknown command "a\x1b[31mb"`,
		"help a b":                        "help explains one command",
		"version send":                    "version takes nothing behind it",
		"send --usr x":                    "did you mean",
		"--pnig-timeout 1m --no-callback": "did you mean --ping-timeout?",
	} {
		cli(t, "", nil, strings.Fields(args)...).failed(t, 78, part)
	}
}

func TestListTailAndHelpFitSmallTerminals(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	env := []string{"WS_GATEWAY_GATEWAY=http://" + g.Addr, "NO_COLOR=1"}
	g.Connect(t, visitor{User: "a user with a long name", Header: map[string]string{"User-Agent": "Mozilla/5.0 (X11; Linux) with\u009b bytes"}})
	id := g.only("a user with a long name")
	for _, columns := range []uint16{1, 20, 40, 60, 80, 200} {
		got := onTerminal(t, columns, "", env, "list")
		if squeezed := strings.Join(strings.Fields(got.stdout), ""); got.code != 0 || !strings.Contains(squeezed, id) {
			t.Errorf("%d columns: %+v", columns, got)
		}
		fits(t, int(columns), "list", got.stdout)
		for _, args := range []string{"--help", "help send", "help replay", "completion --help"} {
			got := onTerminal(t, columns, "", env, strings.Fields(args)...)
			if got.code != 0 || !strings.Contains(strings.Join(strings.Fields(got.stdout), ""), "--help") {
				t.Errorf("%s: %+v", args, got)
			}
			fits(t, int(columns), args, got.stdout)
		}
		if columns < 20 {
			continue // the time alone is wider
		}
		for _, color := range []string{"NO_COLOR=1", "TERM=xterm"} {
			shown := tailOnTerminal(t, g, columns, append(env[:1:1], color))
			fits(t, int(columns), "tail", shown)
			if colored := strings.Contains(shown, "\x1b["); colored != (color == "TERM=xterm") {
				t.Errorf("%s: %q", color, shown)
			}
		}
	}
}

// tailOnTerminal follows until an event has been shown, and returns what was.
func tailOnTerminal(t *testing.T, g *gateway, columns uint16, env []string) string {
	t.Helper()
	master, slave := openTerminal(t, columns)
	defer master.Close()
	cmd := exec.Command(harness.Binary(t), "tail", "--action", "open")
	cmd.Stdout, cmd.Stderr = slave, slave
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "GORACE=atexit_sleep_ms=20"}, env...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	var shown logbook
	read := make(chan struct{})
	go func() {
		defer close(read)
		shown.Read(master)
	}()
	harness.Poll(t, "an event on the terminal", func() bool {
		c := g.Dial(t, "bob")
		c.Close(1000, "")
		return len(shown.MatchingNow("from")) > 0
	})
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := harness.ExitCode(cmd.Wait()); code != 0 {
		t.Errorf("tail ends with %d", code)
	}
	<-read
	var all strings.Builder
	for _, line := range shown.All() {
		all.WriteString(strings.TrimSuffix(line.Raw, "\r") + "\n")
	}
	return all.String()
}
