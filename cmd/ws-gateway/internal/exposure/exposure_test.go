package exposure

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ws-gateway/cmd/ws-gateway/internal/finding"
)

func TestWhatOtherHostsReach(t *testing.T) {
	for addr, want := range map[string]bool{
		":40010": true, "0.0.0.0:40010": true, "[::]:1": true, "10.1.2.3:1": true, "[fe80::1%eth0]:1": true, "gateway.example:1": true,
		"127.0.0.1:1": false, "127.9.9.9:0": false, "[::1]:1": false, "[::ffff:127.0.0.1]:1": false, "localhost:1": false, "LOCALHOST:1": false, "unix:/run/a": false, "": false,
	} {
		if got := Beyond(addr); got != want {
			t.Errorf("%q: %v", addr, got)
		}
	}
}

func TestWhoMayManageIsSaidInWords(t *testing.T) {
	for want, c := range map[string]Config{
		"loopback without a token, on the clients' port":                        {Listen: ":40010"},
		"who has the token, on the clients' port":                               {Listen: ":40010", Token: true},
		"loopback without a token, at 127.0.0.1:40011":                          {AdminListen: "127.0.0.1:40011"},
		"who has the token, at :40011":                                          {AdminListen: ":40011", Token: true},
		"who may open the unix socket /run/a.sock, without a token":             {AdminListen: "unix:/run/a.sock"},
		"who may open the unix socket /run/a.sock and has the token":            {AdminListen: "unix:/run/a.sock", Token: true},
		"who may open the unix socket /run/a.sock (mode 0660), without a token": {AdminListen: "unix:/run/a.sock", SocketMode: 0o660},
	} {
		if got := c.Manage(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		if open := c.Open(); open != strings.HasPrefix(want, "loopback without a token, on") {
			t.Errorf("%s: open is %v", want, open)
		}
	}
}

func TestTheConfigurationsFindings(t *testing.T) {
	safe := Config{Listen: "127.0.0.1:40010", AdminListen: "127.0.0.1:40011", MetricsListen: "127.0.0.1:40012", Token: true, TokenLength: 16, EnoughToken: 16, UserHeader: "X-Who", Profiles: true}
	for _, c := range []struct {
		what   string
		change func(*Config)
		name   string // of the finding that warns; "" is none
		says   string
	}{
		{"nothing", func(*Config) {}, "", ""},
		{"open to all hosts", func(c *Config) { *c = Config{Listen: ":40010", UserHeader: "X-Who", Authorize: true} }, "security: management", "proxy on this host"},
		{"open on loopback", func(c *Config) { *c = Config{Listen: "127.0.0.1:40010"} }, "", ""},
		{"management for all hosts", func(c *Config) { c.AdminListen, c.Token = ":40011", false }, "security: management", "others reach the address"},
		{"a short token", func(c *Config) { c.TokenLength = 15 }, "security: token", "15 characters"},
		{"any origin", func(c *Config) { c.AnyOrigin = true }, "security: origins", "any origin"},
		{"the origin of sandboxed frames", func(c *Config) { c.NullOrigin = true }, "security: origins", "sandboxed"},
		{"users believed from all hosts", func(c *Config) { c.Listen = ":40010" }, "security: users", "X-Who is believed"},
		{"the app decides", func(c *Config) { c.Listen, c.Authorize = ":40010", true }, "", ""},
		{"profiles in the open", func(c *Config) { c.AdminListen, c.Token = "", false }, "security: profiles", "--pprof"},
		{"metrics for all hosts", func(c *Config) { c.MetricsListen = ":40012" }, "", ""},
	} {
		cfg := safe
		c.change(&cfg)
		var warnings []string
		for _, f := range cfg.Judge() {
			if f.Name == "" || f.Message == "" || f.State != finding.OK && f.State != finding.Warn || f.State == finding.Warn && f.Fix == "" {
				t.Errorf("%s: %+v", c.what, f)
			}
			if f.State == finding.Warn {
				warnings = append(warnings, f.Name)
				if f.Name == c.name && !strings.Contains(f.Message, c.says) {
					t.Errorf("%s: %q", c.what, f.Message)
				}
			}
		}
		if got := strings.Join(warnings, ", "); got != c.name {
			t.Errorf("%s: warnings of %q, want %q", c.what, got, c.name)
		}
	}
}

func TestFilesThatOthersCanReadOrChange(t *testing.T) {
	folder := t.TempDir()
	file := func(name string, mode os.FileMode) string {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for mode, says := range map[os.FileMode]string{0o600: "", 0o640: "", 0o660: "", 0o604: "may read it", 0o602: "may change it", 0o606: "read and change", 0o777: "read and change", 0o601: ""} {
		found := JudgeFiles([]File{{Option: "admin-token-file", Path: file("a", mode), Holds: "the token"}})
		if len(found) != 1 || (says == "") != (found[0].State == finding.OK) || !strings.Contains(found[0].Message, says) {
			t.Errorf("%o: %+v", mode, found)
		}
	}
	path := file("open/dead.jsonl", 0o600)
	for mode, want := range map[os.FileMode]finding.State{0o700: finding.OK, 0o755: finding.OK, 0o777: finding.Warn, 0o777 | os.ModeSticky: finding.OK} {
		if err := os.Chmod(filepath.Dir(path), mode); err != nil {
			t.Fatal(err)
		}
		if found := JudgeFiles([]File{{Option: "dead-letter", Path: path}}); len(found) != 1 || found[0].State != want {
			t.Errorf("a folder of %o: %+v", mode, found)
		}
	}
	if found := JudgeFiles(nil); found != nil {
		t.Errorf("%+v", found)
	}
	if found := JudgeFiles([]File{{Path: filepath.Join(folder, "none")}}); len(found) != 1 || found[0].State != finding.OK {
		t.Errorf("%+v", found)
	}
}
