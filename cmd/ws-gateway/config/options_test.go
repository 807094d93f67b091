package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"ws-gateway/cmd/ws-gateway/settings"
	"ws-gateway/httptoken"
	"ws-gateway/hub"
)

// parse parses a command line under an environment of "NAME=value" entries.
func parse(args []string, env ...string) (*Config, error) {
	return Parser{Env: settings.NewEnvironment(env)}.Parse(args)
}

func mustParse(t *testing.T, args []string, env ...string) *Config {
	t.Helper()
	c, err := parse(args, env...)
	if err != nil {
		t.Fatalf("%q %q: %v", args, env, err)
	}
	return c
}

func writeTemp(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A reload that leaves an option for a restart completes the configuration once more.
func TestAConfigurationIsCompletedTwiceAsOnce(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"run", "demo"} {
		c := mustParse(t, []string{command}, "WS_GATEWAY_NO_CALLBACK=true")
		once := *c.Options
		if err := c.finish(); err != nil || !reflect.DeepEqual(*c.Options, once) {
			t.Errorf("%s: %v; %+v, want %+v", command, err, *c.Options, once)
		}
	}
}

func TestABadValueIsNoErrorWhereAHigherLevelOverridesIt(t *testing.T) {
	c := mustParse(t, []string{"--no-callback", "--loops=2", "--config", writeTemp(t, "g.yaml", "loops: nonsense\nkeepalive: any\n")},
		"WS_GATEWAY_LOOPS=nonsense", "WS_GATEWAY_KEEPALIVE=ping")
	if c.Loops != 2 || c.Keepalive != "ping" {
		t.Errorf("got %d and %q", c.Loops, c.Keepalive)
	}
}

func TestAnEmptyVariableCountsAsNotSet(t *testing.T) {
	c := mustParse(t, []string{"--no-callback", "--config", writeTemp(t, "g.yaml", "listen: ':1'\n")}, "WS_GATEWAY_LISTEN=", "WS_PORT=")
	if c.Listen != ":1" {
		t.Errorf("got %q", c.Listen)
	}
}

func TestTheFileCanBeNamedByTheEnvironmentAndTheFlagWins(t *testing.T) {
	a, b := writeTemp(t, "a.yaml", "path: /a"), writeTemp(t, "b.yaml", "path: /b")
	if c := mustParse(t, []string{"--no-callback"}, "WS_GATEWAY_CONFIG="+a); c.Path != "/a" {
		t.Errorf("from the environment: got %q", c.Path)
	}
	if c := mustParse(t, []string{"--no-callback", "--config", b}, "WS_GATEWAY_CONFIG="+a); c.Path != "/b" {
		t.Errorf("from the flag: got %q", c.Path)
	}
}

func TestARepeatedListFlagAddsUpAndAnyOtherTakesTheLast(t *testing.T) {
	c := mustParse(t, []string{"--no-callback", "--subprotocols=a", "--subprotocols=b,c", "--path=/a", "--path=/b"})
	if !slices.Equal(c.Subprotocols, []string{"a", "b", "c"}) || c.Path != "/b" {
		t.Errorf("got %q, %q", c.Subprotocols, c.Path)
	}
}

func TestEveryBadValueIsOneLineThatNamesOptionValueAndSource(t *testing.T) {
	file := writeTemp(t, "g.yaml", "# a comment\nping-timeout: 75\n")
	for _, test := range []struct {
		args string
		env  string
		want string
	}{
		{"--loops=x", "", `--loops "x" (from flag): must be a whole number`},
		{"--loops=-1", "", `--loops "-1" (from flag): must be at least 0`},
		{"--loops -1", "", `--loops "-1" (from flag): must be at least 0`},
		{"--loops=257", "", `--loops "257" (from flag): must be at most 256`},
		{"--callback-concurrency=0", "", `--callback-concurrency "0" (from flag): must be at least 1`},
		{"--max-header-bytes=1", "", `--max-header-bytes "1" (from flag): must be at least 1KiB`},
		{"--max-message-size=1MB", "", `--max-message-size "1MB" (from flag): must be a size in bytes or with KiB, MiB or GiB, such as 32KiB`},
		{"--message-memory=4GiB --max-message-size=2GiB", "", `--max-message-size "2GiB" (from flag): must be at most 1GiB`},
		{"--max-message-size=512MiB", "", `--max-message-size "512MiB" (from flag): must be at most --message-memory, which is 256MiB`},
		{"--callback-queue-bytes=1GiB", "", `--callback-queue-bytes "1GiB" (from flag): must be at most --callback-memory, which is 256MiB`},
		{"--require-user=maybe", "", `--require-user "maybe" (from flag): must be true or false`},
		{"--keepalive=pong", "", `--keepalive "pong" (from flag): must be ping or any`},
		{"--message-rate=10 --message-burst=9", "", `--message-burst "9" (from flag): must be at least --message-rate, which is 10`},
		{"--byte-rate=2MiB --byte-burst=1MiB", "", `--byte-burst "1MiB" (from flag): must be at least --byte-rate, which is 2MiB`},
		{"--rate-policy=drop", "", `--rate-policy "drop" (from flag): must be pause or close`},
		{"--server-ping=75s", "", `--server-ping "1m15s" (from flag): must be shorter than --ping-timeout, which is 1m15s`},
		{"--shutdown-timeout=5s", "", `--shutdown-timeout "5s" (from flag): must be longer than --drain-delay and --drain-period together, which are 5s`},
		{"--callback-batch=2 --callback-reply", "", `--callback-reply (from flag) and --callback-batch (from flag) cannot be used together: the answer to a batch`},
		{"--callback-pipeline=2 --callback-batch=2", "", `--callback-pipeline (from flag) and --callback-batch (from flag) cannot be used together`},
		{"--callback-pipeline=2 --callback-reply", "", `--callback-pipeline (from flag) and --callback-reply (from flag) cannot be used together`},
		{"--callback-batch=2 --callback-groups", "", `--callback-groups (from flag) and --callback-batch (from flag) cannot be used together: the answer to a batch`},
		{"--callback-pipeline=2 --callback-groups", "", `--callback-pipeline (from flag) and --callback-groups (from flag) cannot be used together`},
		{"--listen=40010", "", `--listen "40010" (from flag): must be an address such as`},
		{"--listen=:65536", "", `--listen ":65536" (from flag): must be an address such as`},
		{"--admin-listen=unix:", "", `--admin-listen "unix:" (from flag): must be an address such as`},
		{"--path=ws", "", `--path "ws" (from flag): must be a path such as /ws`},
		{"--path=/TAPR/ws", "", `--path "/TAPR/ws" (from flag): must be a path that is not part of the management API (/tapr)`},
		{"--path=/metrics", "", `not part of the management API (/metrics)`},
		{"--path=/debug/pprof/heap", "", `not part of the management API (/debug/pprof)`},
		{"--user-header=X:Y", "", `--user-header "X:Y" (from flag): must be a header name such as X-Bfl-User`},
		{"--allowed-origins=https://a.example,b.example", "", `--allowed-origins "b.example" (from flag): must be an origin`},
		{"--allowed-origins=https://a.example/", "", `--allowed-origins "https://a.example/" (from flag): must be an origin`},
		{"--trusted-proxies=::1,10.0.0.0/33", "", `--trusted-proxies "10.0.0.0/33" (from flag): must be an address or a range of addresses`},
		{"--trusted-proxies=::ffff:10.0.0.0/104", "", `--trusted-proxies "::ffff:10.0.0.0/104" (from flag): must be an address or a range of addresses`},
		{"--trusted-proxies=fe80::1%eth0", "", `--trusted-proxies "fe80::1%eth0" (from flag): must be an address or a range of addresses`},
		{"--cluster=http://u:pw@a", "WS_GATEWAY_CLUSTER_APP=app", `--cluster "http://u:xxxxx@a" (from flag): must be the URL of a NATS server`},
		{"--cluster=nats://a", "", `--cluster-app`},
		{"--cluster=tls://tls://a --cluster-app=a", "", `--cluster "tls://tls://a" (from flag): must be the URL of a NATS server such as nats://10.0.0.7:4222: it has a second // in it`},
		{"--cluster=nats://a,nats:// --cluster-app=a", "", `--cluster "nats://" (from flag): must be the URL of a NATS server such as nats://10.0.0.7:4222: it names no host`},
		{"--cluster=nats://a,,nats://b --cluster-app=a", "", `--cluster "nats://a,,nats://b" (from flag): must be a list without empty items: item 2 of 3 is empty`},
		{"--cluster=nats://u:pw@a,,nats://tok@b,nats://c --cluster-app=a", "", `--cluster "nats://u:xxxxx@a,,nats://xxxxx@b,nats://c" (from flag): must be a list without empty items: item 2 of 4 is empty`},
		{"--cluster=nats://u:12,34@a,, --cluster-app=a", "", `--cluster "********" (from flag): must be a list without empty items: item 3 of 4 is empty`},
		{"", "WS_GATEWAY_CLUSTER= ", `--cluster " " (from WS_GATEWAY_CLUSTER): must be a value, or left out: it is blank`},
		{"--cluster=nats://u:1#secret@a --cluster-app=a", "", `--cluster "a URL with its @ in the wrong place" (from flag): must be`},
		{"--cluster=nats://a --cluster-app=a.b", "", `--cluster-app "a.b" (from flag): must be the app's name`},
		{"--cluster=nats://a --cluster-app=a --cluster-name=\x1b", "", `--cluster-name "\x1b" (from flag): must be`},
		{"--cluster=nats://a --cluster-app=a --cluster-name=local", "", `--cluster-name "local" (from flag): must be another name`},
		{"--cluster=nats://a --cluster-app=a --cluster-name=*", "", `--cluster-name "*" (from flag): must be another name`},
		{"--cluster=nats://a --cluster-app=a --cluster-hold=15s", "", `--cluster-hold "15s" (from flag): must be shorter than --cluster-dead-after, which is 15s`},
		{"--cluster=nats://a --cluster-app=a --cluster-creds=/does/not/exist", "", `--cluster-creds "/does/not/exist" (from flag): must be a file that can be read: no such file or directory`},
		{"--cluster=nats://a --cluster-app=a --cluster-nkey=" + file, "", `--cluster-nkey: ` + file + `: it has no user's key`},
		{"--cluster=nats://a --cluster-app=a --cluster-nkey=" + file + " --cluster-token-file=" + file, "", `--cluster-creds, --cluster-nkey and --cluster-token-file: only one of them can be used`},
		{"--cluster=nats://a --cluster-app=a --cluster-cert=" + file, "", `--cluster-cert and --cluster-key: one of them is missing`},
		{"--subprotocols=a/b", "", `--subprotocols "a/b" (from flag): must be a name`},
		{"--admin-token-file=/does/not/exist", "", `--admin-token-file "/does/not/exist" (from flag): must be a file that can be read: no such file or directory`},
		{"--admin-token=a --admin-token-file=b", "", `--admin-token (from flag) and --admin-token-file (from flag): only one of them can be used`},
		{"", "WS_GATEWAY_LOG_LEVEL=loud", `--log-level "loud" (from WS_GATEWAY_LOG_LEVEL): must be one of debug, info, warn, error`},
		{"", "WS_GATEWAY_WRITE_TIMEOUT=30", `--write-timeout "30" (from WS_GATEWAY_WRITE_TIMEOUT): must be a duration such as`},
		{"--config=" + file, "", `--ping-timeout "75" (from g.yaml line 2): must be a duration such as`},
		{"--ping-timeout", "", `--ping-timeout: needs a duration such as`},
		{"--listen", "", `--listen: needs a value`},
		{"--lisen=:1", "", `unknown flag --lisen, did you mean --listen?`},
		{"surprise", "", `unknown command "surprise": ws-gateway help lists those that there are`},
		{"check surprise", "", `unexpected argument "surprise": check takes none like it`},
	} {
		_, err := parse(append([]string{"--no-callback"}, strings.Fields(test.args)...), test.env)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Count(err.Error(), "\n") != 0 {
			t.Errorf("%s %s:\n got %v\nwant %s", test.args, test.env, err, test.want)
		}
	}
}

// Wherever a list comes from, a separator too many is a mistake: the name that should stand
// there may be missing. So is a text that is all blank. Blanks around items, a line's end and a
// text that is empty are none.
func TestAnEmptyItemIsAMistakeInEveryList(t *testing.T) {
	t.Parallel()
	lists := 0
	for _, v := range mustParse(t, []string{"--no-callback"}).Values {
		if v.Target.Kind() != reflect.Slice {
			continue
		}
		lists++
		a, b := map[string]string{
			"allowed-origins": "https://a.example", "trusted-proxies": "10.0.0.1", "subprotocols": "a", "forward-header": "X-A", "cluster": "nats://secret@a",
			"callback-header": "X-A: 1", "callback-secret": "one",
		}[v.Name], map[string]string{
			"allowed-origins": "https://b.example", "trusted-proxies": "10.0.0.2", "subprotocols": "b", "forward-header": "X-B", "cluster": "nats://b",
			"callback-header": "X-B: 2", "callback-secret": "two",
		}[v.Name]
		separator, lines := string(v.Tag.Sep), v.Tag.Sep == '\n'
		for i, test := range []struct {
			text  string
			empty int
		}{
			{"", 0}, {"A#B", 0}, {" A # B ", 0}, {"A#B\n", 0}, {"\r\n", 1}, {" ", 1}, {"A##B", 2}, {"A# #B", 2}, {"#A", 1}, {"A#", 2}, {"A#B#\n", 3}, {"#", 1}, {" # ", 1},
			{strings.Repeat("A#", 9) + "#", 10},
		} {
			text := strings.NewReplacer("A", a, "B", b, "#", separator).Replace(test.text)
			quoted, _ := json.Marshal(text)
			from, args, env := settings.FromFlag, []string{"--no-callback", "--cluster-app=a"}, ""
			switch (i + lists) % 3 {
			case 0:
				args = append(args, "--"+v.Name+"="+text)
			case 1:
				from, args = "g.yaml line 1", append(args, "--config", writeTemp(t, "g.yaml", v.Name+": "+string(quoted)))
			default:
				from = settings.Source(settings.EnvName(v.Name))
				env = settings.EnvName(v.Name) + "=" + text
			}
			c, err := parse(args, env)
			want := fmt.Sprintf("(from %s): must be a list without empty items: item %d of ", from, test.empty)
			switch {
			case text != "" && strings.TrimSpace(text) == "":
				if want := fmt.Sprintf("(from %s): must be a value, or left out: it is blank", from); err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("--%s %q from %s: %v", v.Name, text, from, err)
				}
			case test.empty > 0 && !lines:
				if err == nil || !strings.Contains(err.Error(), want) || v.Tag.Has("secret") && strings.Contains(err.Error(), a) {
					t.Errorf("--%s %q from %s: %v", v.Name, text, from, err)
				}
			case err != nil:
				t.Errorf("--%s %q from %s: %v", v.Name, text, from, err)
			case slices.ContainsFunc(c.Lookup(v.Name).Target.Interface().([]string), func(item string) bool { return item == "" || item != strings.TrimSpace(item) }):
				t.Errorf("--%s %q from %s is %q", v.Name, text, from, c.Lookup(v.Name).Target)
			}
		}
		list, _ := json.Marshal([]string{a, "", b})
		_, err := parse([]string{"--no-callback", "--cluster-app=a", "--config", writeTemp(t, "g.yaml", v.Name+": "+string(list))})
		if err == nil || !strings.Contains(err.Error(), "(from g.yaml line 1): must be a list without empty items: item 2 of 3 is empty") {
			t.Errorf("%s: %s: %v", v.Name, list, err)
		}
	}
	if lists != 7 {
		t.Errorf("%d lists were tried", lists)
	}
}

// A template that fills nothing in, or a slip, must not leave out what is there for safety.
func TestNoOptionTakesBlanksForAValue(t *testing.T) {
	t.Parallel()
	for _, v := range mustParse(t, []string{"--no-callback"}).Values {
		for _, blank := range []string{" ", "\n", "\t \r\n"} {
			for _, at := range []struct{ args, env string }{
				{args: "--" + v.Name + "=" + blank}, {env: settings.EnvName(v.Name) + "=" + blank},
			} {
				args := []string{"--no-callback"}
				if at.args != "" {
					args = append(args, at.args)
				} else if v.Name == "no-callback" {
					args = nil // the flag would win
				}
				if _, err := parse(args, at.env); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("--%s %q (from ", v.Name, blank)) {
					t.Errorf("%q %q: %v", at.args, at.env, err)
				}
			}
		}
	}
}

func TestOfTheServersOfTheClusterOnlyPasswordsAndTokensAreHidden(t *testing.T) {
	for args, want := range map[string]string{
		"--cluster=nats://a,tls://b:1":                            `cluster: ["nats://a", "tls://b:1"]  # flag`,
		"--cluster=nats://user:hide-me@a,nats://hide-me@b:1":      `# cluster: ["nats://user:xxxxx@a", "nats://xxxxx@b:1"]  # flag; passwords and tokens are not shown`,
		"--cluster=nats://user:hide-me@a/,nats://user:hide@[::1]": `# cluster: ["nats://user:xxxxx@a/", "nats://user:xxxxx@[::1]"]  # flag; passwords and tokens are not shown`,
	} {
		c := mustParse(t, []string{"--no-callback", "--cluster-app=x", args})
		var printed bytes.Buffer
		if err := c.Print(&printed); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(printed.String(), "\n"+want+"\n") || strings.Contains(printed.String(), "hide") {
			t.Errorf("%s: want %s in\n%s", args, want, &printed)
		}
	}
}

// An option that was not understood may be the one that is missing.
func TestAnUnknownOptionIsAllThatIsSaid(t *testing.T) {
	for _, args := range [][]string{{"--hlep"}, {"--config", writeTemp(t, "g.yaml", "hlep: true\n")}} {
		if _, err := parse(args); err == nil || !strings.Contains(err.Error(), "hlep") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", args, err)
		}
	}
}

func TestOptionsOfAFeatureThatIsNotInUseAreWarnedAbout(t *testing.T) {
	for args, want := range map[string]string{
		"": "",
		"--cluster-app=a --cluster-required --cluster-timeout=3s":                               "--cluster-app --cluster-timeout --cluster-required",
		"--cluster=nats://127.0.0.1:1 --cluster-app=a --cluster-required --cluster-timeout=3s":  "",
		"--resume-event --resume-buffer=1MiB --resume-memory=65MiB":                             "--resume-buffer --resume-memory --resume-event",
		"--resume-event --resume-buffer=1MiB --resume-memory=65MiB --resume-for=1m":             "",
		"--cluster-timeout=2s --cluster-required=false --resume-memory=65536KiB --resume-for=0": "", // the defaults, as --print-config prints them
		"demo --instances=2 --cluster-timeout=3s --resume-event":                                "",
		"health --cluster-app=a --resume-event":                                                 "",
	} {
		args := strings.Fields(args)
		if len(args) == 0 || strings.HasPrefix(args[0], "--") {
			args = append(args, "--no-callback")
		}
		c := mustParse(t, args)
		var got []string
		for _, w := range c.Warnings {
			option, _, _ := strings.Cut(w, " ")
			if got = append(got, option); !strings.HasSuffix(w, " (from flag) does nothing without --cluster") && !strings.HasSuffix(w, " (from flag) does nothing without --resume-for") {
				t.Errorf("%q: %s", args, w)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %q, want %s", args, got, want)
		}
	}
}

func TestWithoutResumeForTheFileOfSessionsIsSaidToEndThem(t *testing.T) {
	c := mustParse(t, []string{"--no-callback", "--resume-state=/x"})
	if want := []string{"--resume-state (from flag) keeps no session, and ends those in the file, without --resume-for"}; !slices.Equal(c.Warnings, want) {
		t.Errorf("%q, want %q", c.Warnings, want)
	}
}

func TestABadTokenIsNotShown(t *testing.T) {
	_, err := parse([]string{"--no-callback", "--admin-token=top secret"})
	if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "--admin-token") {
		t.Errorf("got %v", err)
	}
}

func TestATokenThatCanBeGuessedIsRefusedWhereverItComesFrom(t *testing.T) {
	for _, args := range [][]string{{"--admin-token", "1234567"}, {"--admin-token-file", writeTemp(t, "token", "1234567\n")}, {"--admin-token-file", writeTemp(t, "token", "   1234567   \r\n\r\n")}} {
		_, err := parse(append([]string{"--no-callback"}, args...))
		if err == nil || !strings.Contains(err.Error(), args[0]) || !strings.Contains(err.Error(), "at least 8 characters, this one has 7") || strings.Contains(err.Error(), "123456") {
			t.Errorf("%s: %v", args[0], err)
		}
	}
	_, err := parse([]string{"--no-callback", "--admin-token-file", writeTemp(t, "token", strings.Repeat("t", longestToken+1))})
	if err == nil || !strings.Contains(err.Error(), "at most 4096 characters, this one has 4097") {
		t.Errorf("one that no request has room for: %v", err)
	}
	mustParse(t, []string{"--no-callback", "--admin-token-file", writeTemp(t, "token", strings.Repeat("t", longestToken))})
	if c := mustParse(t, []string{"--no-callback", "--admin-token", "12345678"}); c.Token != "12345678" {
		t.Errorf("got %q", c.Token)
	}
}

func TestTheTokenIsReadFromItsFile(t *testing.T) {
	if c := mustParse(t, []string{"--no-callback", "--admin-token-file", writeTemp(t, "token", " just-enough\r\n\n")}); c.Token != "just-enough" {
		t.Errorf("got %q", c.Token)
	}
	if _, err := parse([]string{"--no-callback", "--admin-token-file", writeTemp(t, "token", "\n")}); err == nil {
		t.Error("an empty file is taken")
	}
}

func TestUnknownVariablesAreWarnedAboutAndKubernetesOwnAreNot(t *testing.T) {
	c := mustParse(t, []string{"--no-callback"}, "WS_GATEWAY_LISTN=:1", "WS_GATEWAY_QUITE_DIFFERENT_THING=1", "WS_GATEWAY_PORT=tcp://10.0.0.1:40010",
		"WS_GATEWAY_SERVICE_HOST=10.0.0.1", "WS_GATEWAY_SERVICE_PORT_WS=1", "WS_GATEWAY_PORT_40010_TCP_ADDR=10.0.0.1", "OTHER=1",
		"WS_GATEWAY_SERVICE_PORT=40010", "WS_GATEWAY_PORT_40010_TCP_PORT=40010", "WS_GATEWAY_METRICS_SERVICE_PORT=9", "WS_GATEWAY_METRICS_PORT_9_UDP_PORT=9",
		"WS_GATEWAY_METRICS_PORT=tcp://10.0.0.1:9", "WS_GATEWAY_METRICS_SERVICE_HOST=10.0.0.1", "WS_GATEWAY_METRICS_PORT_9_TCP_PROTO=tcp",
		"WS_GATEWAY_CALLBACK_PORT=9", "WS_GATEWAY_PORT_40010_TCP=tcp://10.0.0.1:40010", "WS_PORT_80_TCP=tcp://10.0.0.1:80")
	want := []string{"unknown environment variable WS_GATEWAY_CALLBACK_PORT, did you mean WS_GATEWAY_CALLBACK_CERT?", "unknown environment variable WS_GATEWAY_LISTN, did you mean WS_GATEWAY_LISTEN?",
		"unknown environment variable WS_GATEWAY_QUITE_DIFFERENT_THING"}
	if !slices.Equal(c.Warnings, want) {
		t.Errorf("got %q", c.Warnings)
	}
}

func TestNoOptionIsCalledLikeAVariableThatKubernetesSets(t *testing.T) {
	for _, v := range mustParse(t, []string{"demo"}).Values {
		if name := settings.EnvName(v.Name); (settings.Environment{name: "tcp://10.0.0.1:1"}).OfService(name) {
			t.Errorf("%s would hide a misspelt variable", v.Name)
		}
	}
}

func TestThePrintedConfigurationIsTheOneInForceAndCanBeFedBack(t *testing.T) {
	manifest := writeTemp(t, "OlaresManifest.yaml", "options: {websocket: {port: 8888, url: /ws/message}}")
	c := mustParse(t, []string{"--manifest", manifest, "--admin-token=hide-me-well", "--allowed-origins=https://a.example,null", "--max-message-size=1025"},
		"WS_GATEWAY_PATH=/a\"b\\c:'", "WS_GATEWAY_REQUIRE_USER=1")
	var printed bytes.Buffer
	if err := c.Print(&printed); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`callback-url: "http://127.0.0.1:8888/ws/message"  # OlaresManifest.yaml`,
		`# admin-token: "********"  # flag; not shown`,
		`path: "/a\"b\\c:'"  # WS_GATEWAY_PATH`,
		`max-message-size: 1025  # flag`,
		`listen: ":40010"  # default`,
	} {
		if !strings.Contains(printed.String(), want+"\n") {
			t.Errorf("missing %s in\n%s", want, &printed)
		}
	}
	if strings.Contains(printed.String(), "hide-me") {
		t.Error("the token is shown")
	}
	again := mustParse(t, []string{"--config", writeTemp(t, "g.yaml", printed.String())})
	again.AdminToken, again.CallbackURL = c.AdminToken, ""
	if !reflect.DeepEqual(again.Options, c.Options) || again.Callback != c.Callback {
		t.Errorf("fed back:\n got %+v\nwant %+v", again.Options, c.Options)
	}
}

func TestHelpNamesEveryOption(t *testing.T) {
	for _, command := range []string{"run", "demo"} {
		var out bytes.Buffer
		if _, err := (Parser{Out: &out}).Parse([]string{command, "--help"}); err == nil || !strings.Contains(err.Error(), ErrHelp.Error()) {
			t.Fatalf("got %v", err)
		}
		for _, v := range mustParse(t, []string{command}, "WS_GATEWAY_NO_CALLBACK=1").Values {
			if !strings.Contains(out.String(), "--"+v.Name) {
				t.Errorf("%s: %s is missing", command, v.Name)
			}
		}
	}
}

func TestEveryOptionIsInTheTableWithHelpAndBoundsThatHoldItsDefault(t *testing.T) {
	for _, v := range mustParse(t, []string{"demo"}).Values {
		if v.Help == "" || v.Group == nil {
			t.Errorf("%s has no help or group", v.Name)
		}
		if _, isInt := v.Target.Interface().(int); (isInt || v.Target.Kind() == reflect.Int64) && v.Tag.Get("min") == "" {
			t.Errorf("%s has no lower bound", v.Name)
		}
	}
}

// The checks of options that package hub makes too say the same, or a bad value
// would be found without its source, or a good one refused.
func TestOriginsAndNamesAreCheckedAsTheHubChecksThem(t *testing.T) {
	for _, origin := range []string{"*", "null", "https://a.example", "HTTPS://A.example:8443", "https://*.a.example", "https://[::1]:1", "app://x",
		"a.example", "https://", "https://a.example/", "https://*", "https://a.*.example", "https://u@a.example", "://a", "https://a b", "https://a?b", "1a://x", "https://*."} {
		_, there := hub.New(hub.Config{AllowedOrigins: []string{origin}})
		_, here := parse([]string{"--no-callback", "--allowed-origins", origin})
		if (here == nil) != (there == nil) {
			t.Errorf("origin %q: %v here, %v there", origin, here, there)
		}
	}
	for _, name := range []string{"a", "X-Bfl-User", "a.b~c!", "a b", "a,b", "ä", "a\x7f", "a:b", "a/b", "a|b"} {
		_, headerErr := hub.New(hub.Config{UserHeader: name})
		_, protocolErr := hub.New(hub.Config{Subprotocols: []string{name}})
		if httptoken.Is(name) != (headerErr == nil) || httptoken.Is(name) != (protocolErr == nil) {
			t.Errorf("name %q: %v here, %v and %v there", name, httptoken.Is(name), headerErr, protocolErr)
		}
	}
}

func TestAByteBurstThatIsNotGivenFitsRateAndPolicy(t *testing.T) {
	for args, want := range map[string]settings.Size{
		"":                                      0,
		"--byte-rate=64KiB":                     128 << 10,
		"--byte-rate=64KiB --rate-policy=close": 1<<20 + 64<<10,
		"--byte-rate=4MiB --rate-policy=close":  8 << 20,
		"--byte-rate=64KiB --rate-policy=close --byte-burst=64KiB": 64 << 10,
	} {
		if got := mustParse(t, append(strings.Fields(args), "--no-callback")).byteBurst(); got != want {
			t.Errorf("%s: %v, want %v", args, got, want)
		}
	}
}
