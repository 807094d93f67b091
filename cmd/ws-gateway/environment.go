package main

import (
	"regexp"
	"slices"
	"strings"
)

const envPrefix = "WS_GATEWAY_"

// envName is the environment variable of an option.
func envName(option string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(option, "-", "_"))
}

// environment is a process environment. A variable that is set but empty counts
// as not set, as deployments blank out variables that way.
type environment map[string]string

func newEnvironment(entries []string) environment {
	env := environment{}
	for _, e := range entries {
		if name, value, ok := strings.Cut(e, "="); ok && value != "" {
			env[name] = value
		}
	}
	return env
}

// Kubernetes gives every pod variables about the services of its namespace. Those
// of one that is called ws-gateway, or ws-gateway-metrics, begin like ours; of one
// that is called ws there is a WS_PORT, as of an app.
var (
	serviceLink = regexp.MustCompile(`^WS_GATEWAY_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_.+)?)?)$`)
	servicePort = regexp.MustCompile(`_(SERVICE|[0-9]+_(TCP|UDP|SCTP))_PORT$`)
	serviceURL  = regexp.MustCompile(`^(tcp|udp|sctp)://.+:[0-9]+$`)
)

// ofService reports whether Kubernetes has set the variable for a service. Of names
// that end in _PORT some hold a number, as an option might: these must be whole.
func (env environment) ofService(name string) bool {
	switch {
	case name == "WS_PORT":
		return serviceURL.MatchString(env[name])
	case !serviceLink.MatchString(name):
		return false
	case strings.HasSuffix(name, "_PORT") && !servicePort.MatchString(name):
		return serviceURL.MatchString(env[name])
	}
	return true
}

// unknown returns a warning for each variable that looks like an option's and is
// none.
func (env environment) unknown(options []string) []string {
	known := make([]string, 0, len(options))
	for _, o := range options {
		known = append(known, envName(o))
	}
	var warnings []string
	for name := range env {
		if strings.HasPrefix(name, envPrefix) && !slices.Contains(known, name) && !env.ofService(name) {
			warnings = append(warnings, "unknown environment variable "+name+didYouMean(name, known))
		}
	}
	slices.Sort(warnings)
	return warnings
}
