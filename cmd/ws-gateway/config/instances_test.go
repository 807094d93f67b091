package config

import (
	"strings"
	"testing"
)

func TestEachInstanceOfTheDemoHasPortsAndANameOfItsOwn(t *testing.T) {
	c := mustParse(t, []string{"demo", "--instances=3", "--listen=127.0.0.1:40010", "--app-listen=[::1]:8080"})
	for n, want := range []string{"127.0.0.1:40010 [::1]:8080 demo-1", "127.0.0.1:40011 [::1]:8081 demo-2", "127.0.0.1:40012 [::1]:8082 demo-3"} {
		one, app := c.Instance(n)
		if got := one.Listen + " " + app + " " + one.ClusterName; got != want || one.ClusterApp == "" {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if c.Listen != "127.0.0.1:40010" || c.ClusterName != "" {
		t.Error("the configuration itself has changed")
	}
	c = mustParse(t, []string{"demo", "--instances=2", "--listen=127.0.0.1:0"})
	if one, _ := c.Instance(1); one.Listen != "127.0.0.1:0" {
		t.Errorf("%s: port 0 takes a free one", one.Listen)
	}
}

func TestInstancesOfTheDemoShareNoFileAndNoAddress(t *testing.T) {
	for args, want := range map[string]string{
		"--admin-listen=127.0.0.1:1":                          "--admin-listen (from flag) cannot be used with --instances",
		"--metrics-listen=127.0.0.1:1":                        "--metrics-listen (from flag) cannot be used with --instances",
		"--journal=/x":                                        "--journal (from flag) cannot be used with --instances",
		"--dead-letter=/x":                                    "--dead-letter (from flag) cannot be used with --instances",
		"--cluster=nats://127.0.0.1 --cluster-app=a":          "--cluster (from flag) cannot be used with --instances",
		"--cluster-hold=20s":                                  `--cluster-hold "20s" (from flag): must be shorter than --cluster-dead-after, which is 15s`,
		"--listen=127.0.0.1:65534":                            `--listen "127.0.0.1:65534" (from flag): must be an address with 2 ports behind its own, for --instances`,
		"--app-listen=127.0.0.1:65535":                        `--app-listen "127.0.0.1:65535" (from flag): must be an address with 2 ports`,
		"--listen=127.0.0.1:8081 --app-listen=localhost:8080": `--app-listen "localhost:8080" (from flag): must be another address: --instances has 127.0.0.1:8081 for a gateway, too`,
	} {
		if _, err := parse(append([]string{"demo", "--instances=3"}, strings.Fields(args)...)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
}
