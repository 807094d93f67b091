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

// The examples for docker compose: replicas that answer as one, and one app behind nginx.
const (
	cluster = "../../compose/compose.yaml"
	oneApp  = "../../../examples/compose/compose.yaml"
)

// compose loads an example. The loader checks it against the schema of the Compose
// specification.
func compose(t *testing.T, path string, env types.Mapping) (*types.Project, error) {
	t.Helper()
	file, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return loader.LoadWithContext(context.Background(), types.ConfigDetails{
		WorkingDir: filepath.Dir(file), ConfigFiles: []types.ConfigFile{{Filename: file}}, Environment: env,
	})
}

func TestTheComposeExampleIsValidAndAsksForAPassword(t *testing.T) {
	if _, err := compose(t, cluster, nil); err == nil || !strings.Contains(err.Error(), "CLUSTER_PASSWORD") {
		t.Errorf("without a password: %v", err)
	}
	p, err := compose(t, cluster, types.Mapping{"CLUSTER_PASSWORD": "pw-1"})
	if err != nil {
		t.Fatal(err)
	}
	checkServices(t, p, "balancer")
	nats := p.Services["nats"]
	if len(nats.Networks) != 1 || !p.Networks["nats"].Internal || *nats.Environment["CLUSTER_PASSWORD"] != "pw-1" {
		t.Error("NATS can be reached from elsewhere, or knows no password")
	}
}

// checkServices holds what is true of both: files are there and read-only, volumes are
// declared and belong to one service each, and only one service is published.
func checkServices(t *testing.T, p *types.Project, published string) {
	t.Helper()
	owners := map[string]string{}
	for name, s := range p.Services {
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeVolume {
				if _, declared := p.Volumes[v.Source]; !declared || owners[v.Source] != "" {
					t.Errorf("%s has the volume %q, which %q has, declared %v", name, v.Source, owners[v.Source], declared)
				}
				owners[v.Source] = name
				continue
			}
			if _, err := os.Stat(v.Source); err != nil || !v.ReadOnly {
				t.Errorf("%s: %v, read-only %v", name, err, v.ReadOnly)
			}
		}
		for other := range s.DependsOn {
			if _, ok := p.Services[other]; !ok {
				t.Errorf("%s depends on %s", name, other)
			}
		}
		if ports := len(s.Ports); ports > 0 != (name == published) {
			t.Errorf("%s has %d ports", name, ports)
		}
		if s.Build != nil {
			if _, err := os.Stat(filepath.Join(s.Build.Context, s.Build.Dockerfile)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestTheExampleOfOneAppIsValidAndAsksForSecrets(t *testing.T) {
	for _, env := range []types.Mapping{nil, {"CALLBACK_SECRET": "s-1"}, {"SESSION_SECRET": "s-2"}} {
		if _, err := compose(t, oneApp, env); err == nil || !strings.Contains(err.Error(), "_SECRET") {
			t.Errorf("with %v: %v", env, err)
		}
	}
	p, err := compose(t, oneApp, types.Mapping{"CALLBACK_SECRET": "s-1", "SESSION_SECRET": "s-2"})
	if err != nil {
		t.Fatal(err)
	}
	checkServices(t, p, "nginx")
	app, gateway := p.Services["app"], p.Services["gateway"]
	if *app.Environment["CALLBACK_SECRET"] != "s-1" || *gateway.Environment["WS_GATEWAY_CALLBACK_SECRET"] != "s-1" || *app.Environment["SESSION_SECRET"] != "s-2" {
		t.Error("app and gateway do not have the secrets")
	}
	if at := *gateway.Environment["WS_GATEWAY_ADMIN_LISTEN"]; !strings.HasPrefix(at, "127.0.0.1:") || *app.Environment["GATEWAY"] != "http://"+at {
		t.Error("management is not the app's alone")
	}
	checkBeside(t, gateway, "app")
}

// checkBeside holds that a gateway shares its app's network, and stops before it with time
// enough.
func checkBeside(t *testing.T, gateway types.ServiceConfig, app string) {
	t.Helper()
	if _, after := gateway.DependsOn[app]; gateway.NetworkMode != "service:"+app || !after {
		t.Errorf("%s is not beside %s", gateway.Name, app)
	}
	timeout, err := time.ParseDuration(argument(gateway, "shutdown-timeout"))
	if err != nil || time.Duration(*gateway.StopGracePeriod) < timeout+5*time.Second {
		t.Errorf("%s is killed after %v, and may take %v", gateway.Name, *gateway.StopGracePeriod, timeout)
	}
}

// argument is the value of an option among a gateway's arguments; "" if it is not there.
func argument(gateway types.ServiceConfig, option string) string {
	i := slices.IndexFunc(gateway.Command, func(a string) bool { return strings.HasPrefix(a, "--"+option+"=") })
	if i < 0 {
		return ""
	}
	return strings.TrimPrefix(gateway.Command[i], "--"+option+"=")
}

func TestEachGatewayOfTheComposeExampleIsBesideItsAppAndStopsBeforeIt(t *testing.T) {
	p, err := compose(t, cluster, types.Mapping{"CLUSTER_PASSWORD": "pw-1"})
	if err != nil {
		t.Fatal(err)
	}
	balancer, err := os.ReadFile("../../compose/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"1", "2"} {
		gateway, app := p.Services["gateway-"+n], "app-"+n
		checkBeside(t, gateway, app)
		if *gateway.Environment["WS_GATEWAY_CLUSTER_NAME"] != "gateway-"+n {
			t.Errorf("gateway-%s has another name", n)
		}
		if got := *gateway.Environment["WS_GATEWAY_CLUSTER"]; got != "nats://gateway:pw-1@nats:4222" {
			t.Errorf("it goes to %s", got)
		}
		if !strings.HasPrefix(*gateway.Environment["WS_GATEWAY_ADMIN_LISTEN"], "127.0.0.1:") {
			t.Error("management is not the app's alone")
		}
		if !strings.Contains(string(balancer), "server "+app+":40010;") {
			t.Errorf("the balancer does not know %s", app)
		}
		state := argument(gateway, "resume-state")
		if v := gateway.Volumes; len(v) != 1 || v[0].Type != types.VolumeTypeVolume || v[0].ReadOnly || !strings.HasPrefix(state, v[0].Target+"/") {
			t.Errorf("%q is on no volume of gateway-%s: %+v", state, n, v)
		}
		resumeFor, err := time.ParseDuration(argument(gateway, "resume-for"))
		if err != nil || resumeFor <= time.Duration(*gateway.StopGracePeriod) {
			t.Errorf("sessions are kept for %v, and a restart may take longer: %v", resumeFor, err)
		}
		if len(p.Services[app].Networks) != 2 {
			t.Errorf("%s has not the balancer's network and that of NATS", app)
		}
	}
}
