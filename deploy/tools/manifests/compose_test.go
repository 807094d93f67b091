package manifests

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

// compose returns the example for docker compose. The loader checks it against the schema of
// the Compose specification.
func compose(t *testing.T, env types.Mapping) (*types.Project, error) {
	t.Helper()
	file, err := filepath.Abs("../../compose/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return loader.LoadWithContext(context.Background(), types.ConfigDetails{
		WorkingDir: filepath.Dir(file), ConfigFiles: []types.ConfigFile{{Filename: file}}, Environment: env,
	})
}

func TestTheComposeExampleIsValidAndAsksForAPassword(t *testing.T) {
	if _, err := compose(t, nil); err == nil || !strings.Contains(err.Error(), "CLUSTER_PASSWORD") {
		t.Errorf("without a password: %v", err)
	}
	p, err := compose(t, types.Mapping{"CLUSTER_PASSWORD": "pw-1"})
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range p.Services {
		for _, v := range s.Volumes {
			if _, err := os.Stat(v.Source); err != nil || !v.ReadOnly {
				t.Errorf("%s: %v, read-only %v", name, err, v.ReadOnly)
			}
		}
		for other := range s.DependsOn {
			if _, ok := p.Services[other]; !ok {
				t.Errorf("%s depends on %s", name, other)
			}
		}
		if ports := len(s.Ports); ports > 0 && name != "balancer" {
			t.Errorf("%s is published", name)
		}
	}
	nats := p.Services["nats"]
	if len(nats.Networks) != 1 || !p.Networks["nats"].Internal || *nats.Environment["CLUSTER_PASSWORD"] != "pw-1" {
		t.Error("NATS can be reached from elsewhere, or knows no password")
	}
}

func TestEachGatewayOfTheComposeExampleIsBesideItsAppAndStopsBeforeIt(t *testing.T) {
	p, err := compose(t, types.Mapping{"CLUSTER_PASSWORD": "pw-1"})
	if err != nil {
		t.Fatal(err)
	}
	balancer, err := os.ReadFile("../../compose/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"1", "2"} {
		gateway, app := p.Services["gateway-"+n], "app-"+n
		if _, after := gateway.DependsOn[app]; gateway.NetworkMode != "service:"+app || !after || *gateway.Environment["WS_GATEWAY_CLUSTER_NAME"] != "gateway-"+n {
			t.Errorf("gateway-%s is not beside %s", n, app)
		}
		if got := *gateway.Environment["WS_GATEWAY_CLUSTER"]; got != "nats://gateway:pw-1@nats:4222" {
			t.Errorf("it goes to %s", got)
		}
		if !strings.HasPrefix(*gateway.Environment["WS_GATEWAY_ADMIN_LISTEN"], "127.0.0.1:") {
			t.Error("management is not the app's alone")
		}
		i := slices.IndexFunc(gateway.Command, func(a string) bool { return strings.HasPrefix(a, "--shutdown-timeout=") })
		timeout, err := time.ParseDuration(strings.TrimPrefix(gateway.Command[i], "--shutdown-timeout="))
		if err != nil || time.Duration(*gateway.StopGracePeriod) < timeout+5*time.Second {
			t.Errorf("it is killed after %v, and may take %v", *gateway.StopGracePeriod, timeout)
		}
		if !strings.Contains(string(balancer), "server "+app+":40010;") {
			t.Errorf("the balancer does not know %s", app)
		}
		if len(p.Services[app].Networks) != 2 {
			t.Errorf("%s has not the balancer's network and that of NATS", app)
		}
	}
}
