// Package exposure says who can reach a gateway's clients' port, its management API, its
// metrics and its files: for the log line "ready", for a warning at the start and for
// ws-gateway check. It looks at the configuration and the modes of files alone, and
// enforces nothing. It imports internal/finding.
package exposure

import (
	"fmt"
	"io/fs"
	"strings"

	"ws-gateway/cmd/ws-gateway/internal/finding"
)

// Config is the part of the configuration that decides who can reach what.
type Config struct {
	Listen        string
	AdminListen   string      // "": management shares the clients' port
	SocketMode    fs.FileMode // of AdminListen's unix socket; 0: not known
	MetricsListen string      // "": none
	Path          string      // of the clients

	Token       bool // there is an admin token
	TokenLength int
	EnoughToken int // the least length of a token that is long enough

	AnyOrigin  bool
	NullOrigin bool // the origin null is allowed
	UserHeader string
	Authorize  bool // the app decides about each upgrade
	Profiles   bool
}

// Manage says in a few words who may use the management API.
func (c *Config) Manage() string {
	socket, unix := strings.CutPrefix(c.AdminListen, "unix:")
	if c.SocketMode != 0 {
		socket += fmt.Sprintf(" (mode %04o)", c.SocketMode.Perm())
	}
	where := ", at " + c.AdminListen
	if c.AdminListen == "" {
		where = ", on the clients' port"
	}
	switch {
	case unix && c.Token:
		return "who may open the unix socket " + socket + " and has the token"
	case unix:
		return "who may open the unix socket " + socket + ", without a token"
	case c.Token:
		return "who has the token" + where
	}
	return "loopback without a token" + where
}

// Open reports whether a proxy on this host would let strangers use the management API,
// if it passes on everything and adds no header: management shares the clients' port
// and needs no token, so that only the peer's address is checked.
func (c *Config) Open() bool { return c.AdminListen == "" && !c.Token }

// OpenMessage describes such a gateway.
const OpenMessage = "a proxy on this host that passes on everything, and adds nothing by which it can be told, opens it to its clients"

// OpenFix says what to do about it.
func (c *Config) OpenFix() string {
	return "--admin-listen 127.0.0.1:40011, or --admin-token-file; or let the proxy pass on " + c.Path + " alone, see docs/proxies.md"
}

// Judge returns the findings about the configuration.
func (c *Config) Judge() []finding.Finding {
	found := []finding.Finding{c.management(), c.token(), c.origins(), c.users()}
	if c.Profiles {
		found = append(found, c.profiles())
	}
	if c.MetricsListen != "" {
		found = append(found, c.metrics())
	}
	return found
}

func (c *Config) management() finding.Finding {
	const name = "security: management"
	switch {
	case c.Open() && Beyond(c.Listen):
		return finding.New(name, finding.Warn, c.Manage()+": "+OpenMessage, c.OpenFix())
	case c.Open():
		return finding.New(name, finding.OK, c.Manage()+": "+OpenMessage, c.OpenFix())
	case c.AdminListen != "" && !c.Token && Beyond(c.AdminListen):
		return finding.New(name, finding.Warn, "may be used by "+c.Manage()+"; others reach the address and are refused", "listen on loopback, or set --admin-token-file")
	}
	return finding.New(name, finding.OK, "may be used by "+c.Manage(), "")
}

func (c *Config) token() finding.Finding {
	const name = "security: token"
	switch {
	case !c.Token && c.AdminListen == "":
		return finding.New(name, finding.OK, "none: who is on this host, or looks as if, may manage", "")
	case !c.Token:
		return finding.New(name, finding.OK, "none, and management has an address of its own", "")
	case c.TokenLength < c.EnoughToken:
		return finding.New(name, finding.Warn, fmt.Sprintf("the admin token has %d characters: over years it may be guessed", c.TokenLength),
			fmt.Sprintf("take at least %d; openssl rand -hex 16 makes one", c.EnoughToken))
	}
	return finding.New(name, finding.OK, "long enough; wrong ones are answered later and later", "")
}

func (c *Config) origins() finding.Finding {
	const name = "security: origins"
	if c.AnyOrigin {
		return finding.New(name, finding.Warn, "pages of any origin may connect, and browsers add the visitor's cookies to it", "--allowed-origins https://app.example.org")
	}
	if c.NullOrigin {
		return finding.New(name, finding.Warn, "the origin null may connect, and any page can open a sandboxed frame that has it", "--allowed-origins without null, unless an app that has no origin of its own needs it")
	}
	return finding.New(name, finding.OK, "pages of the named origins alone may connect", "")
}

func (c *Config) users() finding.Finding {
	const name = "security: users"
	believed := c.UserHeader + " is believed from everybody who connects"
	switch {
	case c.Authorize:
		return finding.New(name, finding.OK, "the app decides about each client; it must not take "+c.UserHeader+" for proof if clients can set it", "")
	case Beyond(c.Listen):
		return finding.New(name, finding.Warn, believed+" at "+c.Listen+": the gateway cannot verify who is in front, and a client that gets there is whoever it says",
			"let nobody reach that address but the proxy that sets or removes the header, or --callback-open=authorize; see docs/proxies.md")
	}
	return finding.New(name, finding.OK, believed+", which on "+c.Listen+" is this host alone: the proxy must set or remove it", "")
}

func (c *Config) profiles() finding.Finding {
	const name = "security: profiles"
	if c.Open() {
		return finding.New(name, finding.Warn, "--pprof shows profiles to whoever may manage, without a token", "turn it off when they have been taken, or set --admin-token-file")
	}
	return finding.New(name, finding.OK, "--pprof shows profiles to whoever may manage", "")
}

func (c *Config) metrics() finding.Finding {
	const name = "security: metrics"
	if Beyond(c.MetricsListen) {
		return finding.New(name, finding.OK, "everybody who reaches "+c.MetricsListen+" may read figures and health there, without a token, and nothing else", "")
	}
	return finding.New(name, finding.OK, c.MetricsListen+" is for this host alone", "")
}
