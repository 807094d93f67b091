package config

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"

	"ws-gateway/cmd/ws-gateway/internal/textfile"
	"ws-gateway/cmd/ws-gateway/settings"
	"ws-gateway/httptoken"
	"ws-gateway/hub"
)

// finish checks the options and reads what they refer to (token file, manifest, WS_PORT
// and WS_URL).
func (c *Config) finish() error {
	if c.Demo() {
		c.settleDemo()
	}
	errs := []error{
		c.CheckTags(),
		c.checkBindings(c.parser.Env["LISTEN_FDS"] != "" || c.Command == "health"),
		c.checkPaths(), c.checkClients(), c.checkToken(), c.checkTogether(), c.checkCallbacks(), c.checkCluster(), c.Health.check(),
	}
	c.warnOfIdle()
	if c.Demo() {
		errs = append(errs, c.checkInstances())
	}
	if c.Demo() || c.Command == "health" {
		return errors.Join(errs...)
	}
	return errors.Join(append(errs, c.resolveCallback(c.parser.Env))...)
}

func (c *Config) checkClients() error {
	var errs []error
	if want := wantPath(c.Path); want != "" {
		errs = append(errs, c.Reject("path", want))
	}
	if !httptoken.Is(c.UserHeader) {
		errs = append(errs, c.Reject("user-header", "a header name such as X-Bfl-User"))
	}
	for _, origin := range c.AllowedOrigins {
		if !hub.IsOriginRule(origin) {
			errs = append(errs, settings.Invalid("allowed-origins", origin, c.From("allowed-origins"), "an origin such as https://app.example.org or https://*.example.org, without a path"))
		}
	}
	for _, proxy := range c.TrustedProxies {
		if _, ok := parsePrefix(proxy); !ok {
			errs = append(errs, settings.Invalid("trusted-proxies", proxy, c.From("trusted-proxies"), "an address or a range of addresses, such as 10.0.0.0/8, 192.0.2.1 or fd00::/8"))
		}
	}
	for _, name := range c.Subprotocols {
		if !httptoken.Is(name) {
			errs = append(errs, settings.Invalid("subprotocols", name, c.From("subprotocols"), "a name without blanks and separators"))
		}
	}
	return errors.Join(errs...)
}

// wantPath says what is wrong with a client path; "" means nothing.
func wantPath(path string) string {
	if !strings.HasPrefix(path, "/") || path == "/" || strings.HasSuffix(path, "/") || strings.ContainsFunc(path, func(r rune) bool {
		return r <= ' ' || r > '~' || r == '?' || r == '#'
	}) {
		return "a path such as /ws: printable ASCII that begins with /, without ? and #, and without / at its end"
	}
	for _, taken := range []string{"/tapr", "/console", "/healthz", "/readyz", "/metrics", "/debug/pprof"} {
		if lower := strings.ToLower(path); lower == taken || strings.HasPrefix(lower, taken+"/") {
			return "a path that is not part of the management API (" + taken + ")"
		}
	}
	return ""
}

// parsePrefix parses a range of addresses, or a single address.
func parsePrefix(s string) (netip.Prefix, bool) {
	s = strings.TrimSpace(s)
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), true
	}
	prefix, err := netip.ParsePrefix(s)
	return prefix, err == nil && !prefix.Addr().Is4In6()
}

// checkToken reads the admin token, from its file if there is one, and checks it.
func (c *Config) checkToken() error {
	option, must := "admin-token", ""
	c.Token = c.AdminToken
	if c.Command == "health" { // it needs no token, and may run as a user who must not read it
		return nil
	}
	if c.AdminTokenFile != "" {
		if c.AdminToken != "" {
			c.Doubt("admin-token")
			return fmt.Errorf("--admin-token (from %s) and --admin-token-file (from %s): only one of them can be used",
				c.From("admin-token"), c.From("admin-token-file"))
		}
		option, must = "admin-token-file", "a file that holds "
		data, err := textfile.ReadSecret(c.AdminTokenFile)
		if err != nil {
			return c.Reject(option, "a file that can be read: "+textfile.WithoutPath(err).Error())
		}
		if c.Token = strings.TrimSpace(string(data)); c.Token == "" {
			return c.Reject(option, "a file with the token in it; this one is empty")
		}
	}
	c.contents[option] = digestOf(c.Token)
	if strings.ContainsFunc(c.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return c.Reject(option, must+"printable ASCII without blanks")
	}
	if n := len(c.Token); n > 0 && n < shortestToken {
		return c.Reject(option, fmt.Sprintf("%sat least %d characters, this one has %d: it can be guessed; openssl rand -hex 16 makes one", must, shortestToken, n))
	}
	if n := len(c.Token); n > longestToken {
		return c.Reject(option, fmt.Sprintf("%sat most %d characters, this one has %d: no request has room for it", must, longestToken, n))
	}
	return nil
}

// A shorter admin token is refused, or warned about: an attacker who can try tokens over
// the network must not find it.
const (
	shortestToken = 8
	enoughToken   = 16
)

// longestToken is the length of the longest admin token. A request's head may have 16 KiB.
const longestToken = 4096

// checkTogether compares options that bound each other.
func (c *Config) checkTogether() error {
	var errs []error
	check := func(wrong bool, option, want string, value any, others ...string) {
		if wrong && c.Certain(append(others, option)...) {
			errs = append(errs, c.Reject(option, fmt.Sprintf(want, value)))
		}
	}
	check(c.MaxMessageSize > c.MessageMemory, "max-message-size", "at most --message-memory, which is %v", c.MessageMemory, "message-memory")
	check(c.MaxHeaderBytes > c.HeaderMemory, "max-header-bytes", "at most --header-memory, which is %v", c.HeaderMemory, "header-memory")
	check(c.ResumeBuffer > c.ResumeMemory, "resume-buffer", "at most --resume-memory, which is %v", c.ResumeMemory, "resume-memory")
	check(c.CallbackQueueBytes > c.CallbackMemory, "callback-queue-bytes", "at most --callback-memory, which is %v", c.CallbackMemory, "callback-memory")
	check(c.MessageBurst > 0 && c.MessageBurst < c.MessageRate, "message-burst", "at least --message-rate, which is %d", c.MessageRate, "message-rate")
	check(c.ByteBurst > 0 && c.ByteBurst < c.ByteRate, "byte-burst", "at least --byte-rate, which is %v", c.ByteRate, "byte-rate")
	check(c.ServerPing > 0 && c.ServerPing >= c.PingTimeout, "server-ping", "shorter than --ping-timeout, which is %v", c.PingTimeout, "ping-timeout")
	check(c.DrainDelay+c.DrainPeriod >= c.ShutdownTimeout, "shutdown-timeout", "longer than --drain-delay and --drain-period together, which are %v",
		c.DrainDelay+c.DrainPeriod, "drain-delay", "drain-period")
	return errors.Join(errs...)
}

// warnOfIdle warns of options of a feature that is not in use.
func (c *Config) warnOfIdle() {
	if c.Command == "health" { // it uses none, and is asked again and again
		return
	}
	for _, v := range c.Values {
		var needs string
		switch {
		case strings.HasPrefix(v.Name, "cluster-") && !c.Clustered() && c.Instances <= 1:
			needs = "cluster"
		case strings.HasPrefix(v.Name, "resume-") && c.ResumeFor == 0:
			needs = "resume-for"
		}
		if needs == "" || v.Name == needs || !v.Changed() || !c.Certain(v.Name, needs) {
			continue
		}
		does := "does nothing"
		if v.Name == "resume-state" {
			does = "keeps no session, and ends those in the file,"
		}
		c.Warnings = append(c.Warnings, fmt.Sprintf("--%s (from %s) %s without --%s", v.Name, c.From(v.Name), does, needs))
	}
}

// checkPaths refuses one path for two of journal, dead letters and sessions.
func (c *Config) checkPaths() error {
	for option, path := range map[string]string{"journal": c.Journal, "dead-letter": c.DeadLetter} {
		if path != "" && c.ResumeState != "" && filepath.Clean(path) == filepath.Clean(c.ResumeState) && c.Certain(option, "resume-state") {
			return c.Reject("resume-state", "another path than --"+option)
		}
	}
	if c.Journal != "" && c.DeadLetter != "" && filepath.Clean(c.Journal) == filepath.Clean(c.DeadLetter) && c.Certain("journal", "dead-letter") {
		return c.Reject("dead-letter", "another path than --journal, which is a folder")
	}
	return nil
}

// byteBurst is --byte-burst, or its default: with the policy that closes, a single
// message must not exceed it.
func (c *Config) byteBurst() settings.Size {
	const around = 64 << 10 // may be read together with the end of a message
	switch {
	case c.ByteBurst > 0:
		return c.ByteBurst
	case c.RatePolicy == "close":
		return max(2*c.ByteRate, c.MaxMessageSize+around)
	default:
		return 2 * c.ByteRate
	}
}
