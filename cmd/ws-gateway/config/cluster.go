package config

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"ws-gateway/cluster"
	"ws-gateway/cluster/bus/natsbus"
	"ws-gateway/cluster/members"
	"ws-gateway/cmd/ws-gateway/internal/textfile"
	"ws-gateway/cmd/ws-gateway/program"
	"ws-gateway/cmd/ws-gateway/settings"
)

// checkCluster checks the options of --cluster. Servers may hold passwords, so errors do
// not show them.
func (c *Config) checkCluster() error {
	var errs []error
	if c.several() && c.ClusterHold >= c.ClusterDeadAfter && c.Certain("cluster-hold", "cluster-dead-after") {
		errs = append(errs, c.Reject("cluster-hold", fmt.Sprintf("shorter than --cluster-dead-after, which is %v", c.ClusterDeadAfter)))
	}
	if !c.Clustered() {
		return errors.Join(errs...)
	}
	for _, server := range c.Cluster {
		if err := natsbus.CheckServer(server); err != nil {
			errs = append(errs, settings.Invalid("cluster", natsbus.Redacted(server), c.From("cluster"), "the URL of a NATS server such as nats://10.0.0.7:4222: "+err.Error()))
		}
	}
	if err := natsbus.CheckApp(c.ClusterApp); err != nil {
		errs = append(errs, c.Reject("cluster-app", "the app's name, at most 32 of the characters A-Z, a-z, 0-9, _ and -"))
	}
	if c.ClusterName != "" && members.CheckName(c.ClusterName) != nil {
		errs = append(errs, c.Reject("cluster-name", fmt.Sprintf("at most %d bytes of UTF-8 that can be printed", members.MaxName)))
	}
	if reservedName(c.ClusterName) {
		errs = append(errs, c.Reject("cluster-name", "another name: local and cluster are values of scope, and * stands for gateways that are not known"))
	}
	if (c.ClusterCert == "") != (c.ClusterKey == "") {
		errs = append(errs, errors.New("--cluster-cert and --cluster-key: one of them is missing"))
	}
	if c.ClusterJournal && c.Journal != "" {
		errs = append(errs, errors.New("--cluster-journal and --journal: only one of them can be used"))
	}
	return errors.Join(append(errs, c.checkClusterFiles())...)
}

// redactServers are the servers of --cluster without passwords and tokens. Nothing is shown if
// one of them may be a piece of a password that has a comma in it.
func redactServers(servers []string) (shown []string, ok bool) {
	wrong, secret := false, false
	for _, server := range servers {
		if server = strings.TrimSpace(server); server != "" {
			wrong = wrong || natsbus.CheckServer(server) != nil
			secret = secret || strings.Contains(server, "@")
			server = natsbus.Redacted(server)
		}
		shown = append(shown, server)
	}
	return shown, !wrong || !secret
}

// checkClusterFiles reads the files with which the gateway shows NATS who it is.
func (c *Config) checkClusterFiles() error {
	var errs []error
	files := []struct{ option, path string }{
		{"cluster-creds", c.ClusterCreds}, {"cluster-nkey", c.ClusterNKey}, {"cluster-token-file", c.ClusterTokenFile},
		{"cluster-ca", c.ClusterCA}, {"cluster-cert", c.ClusterCert}, {"cluster-key", c.ClusterKey},
	}
	for _, file := range files {
		if file.path == "" {
			continue
		}
		if _, err := textfile.Read(file.path); err != nil {
			errs = append(errs, c.Reject(file.option, "a file that can be read: "+textfile.WithoutPath(err).Error()))
		}
	}
	ways := 0
	for _, path := range []string{c.ClusterCreds, c.ClusterNKey, c.ClusterTokenFile} {
		if path != "" {
			ways++
		}
	}
	if ways > 1 {
		errs = append(errs, errors.New("--cluster-creds, --cluster-nkey and --cluster-token-file: only one of them can be used"))
	}
	if nats := c.NATS(); len(errs) == 0 && (c.ClusterCert == "") == (c.ClusterKey == "") {
		if err := nats.CheckFiles(); err != nil {
			option := "cluster"
			if wrong := new(natsbus.FileError); errors.As(err, &wrong) {
				for _, file := range files {
					if file.path == wrong.Path {
						option = file.option
						break
					}
				}
			}
			errs = append(errs, fmt.Errorf("--%s: %w", option, err))
		}
	}
	return errors.Join(errs...)
}

// Clustered reports whether the gateway meets others over NATS.
func (c *Config) Clustered() bool { return len(c.Cluster) > 0 }

// several reports whether the gateway is one of several, over NATS or in one process.
func (c *Config) several() bool { return c.Clustered() || c.Instances > 1 }

// reservedName reports whether a name means something else where instances are named.
func reservedName(name string) bool {
	return name == "local" || name == "cluster" || name == "*"
}

// InstanceName is --cluster-name, or the host's name.
func (c *Config) InstanceName() string {
	if c.ClusterName != "" {
		return c.ClusterName
	}
	if host, err := os.Hostname(); err == nil && members.CheckName(host) == nil && !reservedName(host) {
		return host
	}
	return "gateway"
}

// NATS is the configuration of package natsbus.
func (c *Config) NATS() natsbus.Config {
	return natsbus.Config{
		Servers: c.Cluster, App: c.ClusterApp, Name: c.InstanceName(),
		Creds: c.ClusterCreds, NKey: c.ClusterNKey, TokenFile: c.ClusterTokenFile,
		CA: c.ClusterCA, Cert: c.ClusterCert, Key: c.ClusterKey,
	}
}

// relays is --cluster-relays, if there can be any.
func (c *Config) relays() int {
	if !c.several() || c.ResumeFor == 0 {
		return 0
	}
	return c.ClusterRelays
}

// ClusterConfig is the configuration of package cluster.
func (c *Config) ClusterConfig() cluster.Config {
	return cluster.Config{
		App: c.ClusterApp, Name: c.InstanceName(), Version: program.Version(),
		Timeout: c.ClusterTimeout, Hold: c.ClusterHold, Buffer: int(c.ClusterBuffer), DeadAfter: c.ClusterDeadAfter,
		MaxCall: int(c.MaxAPIBody), Refuse: c.ClusterWhenCut == "refuse",
	}
}
