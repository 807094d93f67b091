package settings

import (
	"regexp"
	"slices"
	"strings"
)

const envPrefix = "WS_GATEWAY_"

// EnvName is the environment variable of an option.
func EnvName(option string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(option, "-", "_"))
}

// Environment is a process's environment. A variable that is set but empty counts
// as not set, as deployments blank out variables that way.
type Environment map[string]string

// NewEnvironment takes the variables as os.Environ returns them.
func NewEnvironment(entries []string) Environment {
	env := Environment{}
	for _, e := range entries {
		if name, value, ok := strings.Cut(e, "="); ok && value != "" {
			env[name] = value
		}
	}
	return env
}

// Kubernetes gives every pod variables about the services of its namespace. If one
// is called ws-gateway, or ws-gateway-metrics, its variables begin like ours; if one
// is called ws, there is a WS_PORT, as an app's manifest would have it.
var (
	serviceLink = regexp.MustCompile(`^WS_GATEWAY_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_.+)?)?)$`)
	servicePort = regexp.MustCompile(`_(SERVICE|[0-9]+_(TCP|UDP|SCTP))_PORT$`)
	serviceURL  = regexp.MustCompile(`^(tcp|udp|sctp)://.+:[0-9]+$`)
)

// OfService reports whether Kubernetes has set the variable for a service. Some
// names that end in _PORT could be an option's, with a number as its value: these
// must hold a URL.
func (env Environment) OfService(name string) bool {
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

// Unknown returns a warning for each variable that looks like an option's and is
// none.
func (env Environment) Unknown(options []string) []string {
	known := make([]string, 0, len(options))
	for _, o := range options {
		known = append(known, EnvName(o))
	}
	var warnings []string
	for name := range env {
		if strings.HasPrefix(name, envPrefix) && !slices.Contains(known, name) && !env.OfService(name) {
			warnings = append(warnings, "unknown environment variable "+name+DidYouMean(name, known))
		}
	}
	slices.Sort(warnings)
	return warnings
}
