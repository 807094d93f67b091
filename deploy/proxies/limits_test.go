//go:build proxies

package proxies

import (
	"os/exec"
	"regexp"
	"testing"
	"time"

	"ws-gateway/e2e/harness"
)

// pingTimeout is the gateway's default.
func pingTimeout(t *testing.T) time.Duration {
	t.Helper()
	out, err := exec.Command(harness.Plain(t), "--no-callback", "--print-config").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	m := regexp.MustCompile(`(?m)^ping-timeout: *"?([0-9a-z]+)"?`).FindSubmatch(out)
	if m == nil {
		t.Fatalf("no ping-timeout in\n%s", out)
	}
	timeout, err := time.ParseDuration(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return timeout
}

// What cuts an open connection that is silent, as each configuration sets it. A
// connection whose client pings in time is never silent for as long as that.
func TestNoProxyIsLessPatientThanTheGateway(t *testing.T) {
	least := 2 * pingTimeout(t)
	for language, settings := range map[string][]string{
		"nginx":   {`proxy_read_timeout (\w+);`, `proxy_send_timeout (\w+);`},
		"haproxy": {`timeout tunnel (\w+)`},
		"apache":  {` timeout=(\d+) `},
	} {
		for _, setting := range settings {
			found := regexp.MustCompile(setting).FindAllStringSubmatch(block(t, language), -1)
			if len(found) != 1 {
				t.Errorf("%s: %s is there %d times", language, setting, len(found))
				continue
			}
			text := found[0][1]
			if language == "apache" {
				text += "s"
			}
			if timeout, err := time.ParseDuration(text); err != nil || timeout < least {
				t.Errorf("%s: %s is %v (error %v), want at least %v", language, setting, timeout, err, least)
			}
		}
	}
	// Caddy has none after the upgrade, unless it is set.
	if set := regexp.MustCompile(`\w*timeout\w*`).FindString(block(t, "caddyfile")); set != "" {
		t.Errorf("caddy: %s is set", set)
	}
}
