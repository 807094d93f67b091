//go:build proxies

package proxies

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"ws-gateway/e2e/harness"
)

func TestTheGatewayTakesTheOptionsOfThePage(t *testing.T) {
	shell := blocks(t, "sh")
	if len(shell) == 0 {
		t.Fatalf("%s has no command", page)
	}
	command := adapt(t, strings.TrimSpace(shell[0]), map[string]string{"ws-gateway ": harness.Plain(t) + " "})
	if out, err := exec.Command("sh", "-c", command+" --print-config").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// What is not run can at least be read.
func TestTheBlocksThatAreNotRunAreYAML(t *testing.T) {
	found := blocks(t, "yaml")
	if len(found) != 3 {
		t.Errorf("%d blocks of YAML, want those of Traefik, Envoy and ingress-nginx", len(found))
	}
	for _, b := range found {
		var anything any
		if err := yaml.Unmarshal([]byte(b), &anything); err != nil {
			t.Errorf("%v in\n%s", err, b)
		}
	}
}

// The page's own check must find these configurations right, and could find them
// wrong: a gateway without a proxy fails it.
func TestThePagesCheckTellsRightFromWrong(t *testing.T) {
	const paths = 8
	var check string
	for _, b := range blocks(t, "sh") {
		if strings.Contains(b, "curl") {
			check = b
		}
	}
	run := func(t *testing.T, addr string) (open []string) {
		out, err := exec.Command("sh", "-c", adapt(t, check, map[string]string{"https://example.org": "http://" + addr})).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		if len(lines) != paths {
			t.Fatalf("the check printed\n%s", out)
		}
		for i, line := range lines {
			status, _, _ := strings.Cut(line, " ")
			if last := i == paths-1; status != "401" && (last && status != "426" || !last && status != "404") {
				open = append(open, line)
			}
		}
		return open
	}
	each(t, func(t *testing.T, k kind) {
		for _, signIn := range []bool{true, false} {
			if open := run(t, setUp(t, k, signIn).proxy.addr); len(open) > 0 {
				t.Errorf("with sign-in %v: %q", signIn, open)
			}
		}
	})
	if open := run(t, startGateway(t, harness.Plain(t), startApp(t)).addr); len(open) < 3 {
		t.Errorf("the check finds little in a gateway without a proxy: %q", open)
	}
}
