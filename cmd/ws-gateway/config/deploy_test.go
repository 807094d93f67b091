package config

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"ws-gateway/cmd/ws-gateway/host"
	"ws-gateway/cmd/ws-gateway/internal/exposure"
	"ws-gateway/cmd/ws-gateway/internal/finding"
	"ws-gateway/cmd/ws-gateway/settings"
	"ws-gateway/cmd/ws-gateway/systemd"
)

const deploy = "../../../deploy/"

func readDeploy(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(deploy + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheOlaresExampleNamesTheAppsHandler(t *testing.T) {
	c := mustParse(t, []string{"--manifest", deploy + "olares/OlaresManifest.yaml"})
	if c.Callback != "http://127.0.0.1:8888/ws/message" {
		t.Errorf("events go to %s", c.Callback)
	}
}

func TestTheSystemdUnitReloadsBySIGHUP(t *testing.T) {
	if unit := readDeploy(t, "systemd/ws-gateway.service"); !strings.Contains(unit, "\nExecReload=/bin/kill -HUP $MAINPID\n") || !strings.Contains(unit, "\nType=notify\n") {
		t.Error("systemctl reload does not work")
	}
}

func TestTheKubernetesExamplesFitTheirOwnLimits(t *testing.T) {
	for _, name := range []string{"sidecar.yaml", "statefulset.yaml"} {
		t.Run(name, func(t *testing.T) { fitsItsOwnLimits(t, "kubernetes/"+name) })
	}
}

func fitsItsOwnLimits(t *testing.T, file string) {
	deployment, _, _ := strings.Cut(readDeploy(t, file), "\n---\n")
	var parsed struct {
		Spec struct {
			Template struct {
				Spec struct {
					Containers []struct {
						Name      string
						Args      []string
						Env       []struct{ Name, Value string }
						Resources struct{ Limits struct{ Memory string } }
					}
				}
			}
		}
	}
	if err := yaml.Unmarshal([]byte(deployment), &parsed); err != nil {
		t.Fatal(err)
	}
	container := parsed.Spec.Template.Spec.Containers[1]
	limit, ok := settings.ParseSize(container.Resources.Limits.Memory + "B")
	if container.Name != "ws-gateway" || !ok || limit == 0 {
		t.Fatalf("got %+v", container)
	}
	var env []string
	for _, e := range container.Env {
		env = append(env, e.Name+"="+e.Value)
	}
	c := mustParse(t, container.Args, env...)
	mustNotShare(t, c)
	if !strings.HasPrefix(c.AdminListen, "127.0.0.1:") || exposure.Beyond(c.AdminListen) || !exposure.Beyond(c.MetricsListen) {
		t.Errorf("the app manages at %q, the node's probes ask at %q", c.AdminListen, c.MetricsListen)
	}
	s := host.Limits{Descriptors: 1 << 20, MostForProcess: 1 << 20, Backlog: 4096, FirstPort: 1024, LastPort: 65535, ReservedPorts: "40010"}
	s.Memory.Limit = int64(limit)
	c.fit(s.Memory.Limit) // as main does
	for _, f := range s.Judge(c.Demand(), c.MaxConnections) {
		if f.State != finding.OK {
			t.Errorf("%+v", f)
		}
	}
}

func TestEveryOptionInTheDebianPackagesConfigurationIsOne(t *testing.T) {
	text := readDeploy(t, "package/gateway.yaml")
	if _, err := parse([]string{"--config", writeTemp(t, "gateway.yaml", text)}); err == nil || err.Error() != errNoCallback.Error() {
		t.Errorf("as it is delivered: %v", err)
	}
	mustNotShare(t, mustParse(t, []string{"--config", writeTemp(t, "gateway.yaml", text), "--callback-url", "http://127.0.0.1:8888/"}))
	all := regexp.MustCompile(`(?m)^#([a-z-]+: )`).ReplaceAllString(text, "$1")
	if c := mustParse(t, []string{"--config", writeTemp(t, "gateway.yaml", all)}); c.Callback == "" || c.MaxConnections == 0 || c.AdminListen == "" || c.MetricsListen == "" {
		t.Errorf("the options that are commented out are not all there:\n%s", all)
	}
}

// mustNotShare requires that a proxy which is given the clients' port is not given
// management.
func mustNotShare(t *testing.T, c *Config) {
	t.Helper()
	if c.Exposure().Open() {
		t.Error("management is on the clients' port")
	}
	for _, f := range c.JudgeSecurity() {
		if f.Name == "security: management" && f.State != finding.OK {
			t.Errorf("%+v", f)
		}
	}
}

func TestOlaresSharesThePortAsItsContractSays(t *testing.T) {
	c := mustParse(t, []string{"--manifest", deploy + "olares/OlaresManifest.yaml"})
	if c.AdminListen != "" || c.AdminToken != "" || portOf(c.Listen) != 40010 || !c.OfOlares() {
		t.Errorf("it listens at %q and %q", c.Listen, c.AdminListen)
	}
}

func TestSystemdWaitsLongerThanTheShutdownTakes(t *testing.T) {
	found := regexp.MustCompile(`(?m)^TimeoutStopSec=(.*)$`).FindStringSubmatch(readDeploy(t, "systemd/ws-gateway.service"))
	stop, err := time.ParseDuration(found[1])
	if c := mustParse(t, []string{"--no-callback"}); err != nil || stop <= c.ShutdownTimeout {
		t.Errorf("TimeoutStopSec is %v, --shutdown-timeout %v, %v", stop, c.ShutdownTimeout, err)
	}
	watchdog := regexp.MustCompile(`(?m)^WatchdogSec=(.*)$`).FindStringSubmatch(readDeploy(t, "systemd/ws-gateway.service"))
	if d, err := time.ParseDuration(watchdog[1]); err != nil || d < systemd.LeastWatchdog {
		t.Errorf("WatchdogSec is %v, %v", d, err)
	}
}
