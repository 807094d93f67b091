//go:build examples

package examples

import (
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"ws-gateway/e2e/harness"
)

// example is one way to run an app: a block of commands in its folder's README.
type example struct {
	folder string
	block  string // the comments around it
}

// started is an example that runs behind a gateway.
type started struct {
	example
	root    string // of the copy of this folder
	app     string // where it listens
	site    string // where its page is
	clients string // the address where clients connect
	vite    string // where the React page would be
	nginx   string // where nginx would be
	relay   *relay
	faults  *faults
	gateway *harness.Gateway
}

// start runs a copy of the example that has a port of its own, and a gateway as the README
// starts it.
func start(t *testing.T, e example) *started {
	t.Helper()
	return startWith(t, e, func(root string) []string {
		return append([]string{"--config", filepath.Join(root, "gateway.yaml")}, gatewayFlags(t, e.folder)...)
	})
}

// startWith is start with other options for the gateway, from the root of the copy.
func startWith(t *testing.T, e example, options func(root string) []string) *started {
	t.Helper()
	app, gateway, fpm, vite, nginx := harness.FreePort(t), harness.FreePort(t), harness.FreePort(t), harness.FreePort(t), harness.FreePort(t)
	s := &started{
		example: e, app: "http://127.0.0.1:" + app, site: "http://127.0.0.1:" + app, clients: "127.0.0.1:" + gateway,
		vite: "http://localhost:" + vite, nginx: "localhost:" + nginx,
	}
	s.relay = startRelay(t, "127.0.0.1:"+app)
	s.faults = startFaults(t)
	// Apps call the gateway at 127.0.0.1, pages do at the host that they are from.
	s.root = copied(t, strings.NewReplacer("127.0.0.1:40010", s.faults.addr(), "127.0.0.1:9000", "127.0.0.1:"+fpm,
		"app:40010", s.clients, "app:8888", "127.0.0.1:"+app, "8888", app, "40010", gateway, "5173", vite, "8080", nginx))
	s.gateway = harness.Launch{
		Args: append(options(s.root), "--listen", s.clients, "--callback-url", "http://"+s.relay.addr()+"/ws/message", "--callback-retry-for", harness.Patience.String()),
		Env:  []string{"WS_GATEWAY_CALLBACK_SECRET=change me"},
	}.Start(t)
	s.faults.passTo(s.clients)
	folder := filepath.Join(s.root, e.folder)
	run(t, folder, block(t, folder, e.block), s.site)
	return s
}

// block is what an example's README has between two comments.
func block(t *testing.T, folder, name string) string {
	t.Helper()
	readme, err := os.ReadFile(filepath.Join(folder, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)<!-- " + regexp.QuoteMeta(name) + " -->\n```sh\n(.*?)```\n").FindSubmatch(readme)
	if m == nil {
		t.Fatalf("the README of %s has no block %s", folder, name)
	}
	return string(m[1])
}

// gatewayFlags are those that an example needs besides the common configuration.
func gatewayFlags(t *testing.T, folder string) []string {
	t.Helper()
	command := strings.TrimSpace(block(t, folder, "gateway"))
	rest, ok := strings.CutPrefix(command, "../../bin/ws-gateway --config ../gateway.yaml")
	if !ok {
		t.Fatalf("the README of %s starts the gateway with %s", folder, command)
	}
	return strings.Fields(rest)
}

// copied is a copy of this folder, so that nothing that examples write stays here.
func copied(t *testing.T, change *strings.Replacer) (root string) {
	t.Helper()
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	root = t.TempDir()
	// php-fpm's workers are of another user than root.
	if err := os.Chmod(filepath.Dir(root), 0o755); err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		to := filepath.Join(root, path)
		switch {
		case err != nil:
			return err
		case entry.Name() == "node_modules":
			if err := os.Symlink(filepath.Join(here, path), to); err != nil {
				return err
			}
			return fs.SkipDir
		case entry.IsDir():
			return os.MkdirAll(to, 0o755)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(to, []byte(change.Replace(string(content))), 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// run runs commands until the test ends, and returns once the page is served.
func run(t *testing.T, folder, commands, site string) {
	t.Helper()
	// The last command takes the shell's place, so that it has ended when the shell has.
	if all := strings.Split(strings.TrimSpace(commands), "\n"); !strings.Contains(strings.Fields(all[len(all)-1])[0], "=") {
		all[len(all)-1] = "exec " + strings.TrimPrefix(all[len(all)-1], "exec ")
		commands = strings.Join(all, "\n")
	}
	shell := exec.Command("sh", "-ec", commands)
	shell.Dir = folder
	// Debian's own first: what the examples import is there.
	shell.Env = append(os.Environ(), "PATH=/usr/bin:/usr/sbin:"+os.Getenv("PATH"), "PYTHONDONTWRITEBYTECODE=1")
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	said, err := os.Create(filepath.Join(t.TempDir(), "said"))
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	shell.Stdout, shell.Stderr = said, said
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		_ = shell.Wait() // what it said says more
		close(exited)
	}()
	stop := sync.OnceFunc(func() {
		_ = syscall.Kill(-shell.Process.Pid, syscall.SIGTERM)
		<-exited
		_ = syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) // what it has left behind
	})
	t.Cleanup(func() {
		stop()
		if text, err := os.ReadFile(said.Name()); t.Failed() && err == nil {
			t.Logf("the example said:\n%s", text)
		}
	})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	harness.Poll(t, "the example serves its page", func() bool {
		select {
		case <-exited:
			t.Fatal("the example has ended")
		default:
		}
		answer, err := client.Get(site + "/")
		if err != nil {
			return false
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
}
