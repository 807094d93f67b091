package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ws-gateway/e2e/harness"
)

// Whoever rotates the dead-letter file, and however: each letter is in a file that
// has a name, whole, and what counts as written is there.
func TestTheDeadLetterFileIsFollowedHoweverItIsRotated(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		rotate func(path string) error
		kept   string // where the letters from before are then; "" : nowhere
		signal bool
	}{
		{"moved", func(path string) error { return os.Rename(path, path+".old") }, ".old", false},
		{"moved, with SIGHUP", func(path string) error { return os.Rename(path, path+".old") }, ".old", true},
		{"moved, and made anew by others", func(path string) error {
			return errors.Join(os.Rename(path, path+".old"), os.WriteFile(path, nil, 0o600))
		}, ".old", false},
		{"removed", os.Remove, "", false},
		{"copied and truncated", func(path string) error {
			content, err := os.ReadFile(path)
			return errors.Join(err, os.WriteFile(path+".old", content, 0o600), os.Truncate(path, 0))
		}, ".old", false},
		{"its folder replaced", func(path string) error {
			dir := filepath.Dir(path)
			return errors.Join(os.Rename(dir, dir+".old"), os.Mkdir(dir, 0o700))
		}, "folder", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			app := refuseEverything(t)
			path := filepath.Join(t.TempDir(), "letters", "dead.jsonl")
			if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			g := startGateway(t, app, "--dead-letter", path, "--drain-period=0s")
			c := g.Dial(t, "alice")
			const each = 20
			fail := func(from int) {
				for i := range each {
					c.Send(numbered(from + i))
				}
				g.awaitMetric(t, "ws_gateway_dead_letters_total", float64(1+from+each)) // and the open event
			}
			fail(0)
			if err := test.rotate(path); err != nil {
				t.Fatal(err)
			}
			if test.signal {
				g.Signal(syscall.SIGHUP)
				harness.Poll(t, "a new file", func() bool { _, err := os.Stat(path); return err == nil })
			}
			fail(each)
			if n := len(deadLetters(t, path)); n != each {
				t.Errorf("%d letters in the new file, want %d", n, each)
			}
			old := path + test.kept
			if test.kept == "folder" {
				old = filepath.Join(filepath.Dir(path)+".old", "dead.jsonl")
			}
			if test.kept != "" {
				if n := len(deadLetters(t, old)); n != 1+each {
					t.Errorf("%d letters in the old one, want %d", n, 1+each)
				}
			}
			g.logged(t, 1, "the dead-letter file ", "dead.jsonl was ")
		})
	}
}

func TestSeveralGatewaysShareADeadLetterFileThatIsFullAgainAndAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "dead.jsonl")
	const gateways, clients, each = 3, 5, 40
	for i := range gateways {
		app := refuseEverything(t)
		g := startGateway(t, app, "--dead-letter", path, "--dead-letter-max-size=4KiB", "--dead-letter-keep=1000", "--drain-period=0s")
		for u := range clients {
			c := g.Dial(t, fmt.Sprintf("gateway %d user %d", i, u))
			for n := range each {
				c.Send(numbered(n))
			}
		}
		if i == gateways-1 {
			continue
		}
		t.Cleanup(func() { g.Signal(syscall.SIGTERM) })
	}
	const want = gateways * clients * (1 + each)
	var letters []string
	harness.Poll(t, "all letters", func() bool {
		letters = nil
		files, err := filepath.Glob(path + "*")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				return false // just renamed
			}
			for line := range strings.Lines(string(content)) {
				if line != "\n" {
					letters = append(letters, line)
				}
			}
		}
		return len(letters) >= want
	})
	for _, line := range letters {
		if !strings.HasPrefix(line, "{") || !strings.HasSuffix(line, "}\n") {
			t.Fatalf("a torn letter: %q", line)
		}
	}
}
