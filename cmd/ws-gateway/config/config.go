package config

import (
	"crypto/sha256"
	"crypto/tls"

	"ws-gateway/cmd/ws-gateway/settings"
	"ws-gateway/cmd/ws-gateway/systemd"
	"ws-gateway/forward/headers"
)

// Config is the result of the command line, the environment and the file.
type Config struct {
	*Options
	*settings.Set
	DemoOptions
	Actions

	Command string // run, demo, replay, check, health
	Check   CheckOptions
	Health  HealthOptions
	Replay  ReplayOptions

	Callback    string      // callback URL in force; "" for none
	CallbackTLS *tls.Config // for callbacks over https; nil: nothing special
	Token       string      // of the management API; "" for none
	Warnings    []string    // about what is odd but no error

	args   []string // it was parsed from
	parser Parser

	file      string            // of --config; "": none
	fileKeys  int               // options that the file sets
	contents  map[string]digest // of the files that options name, by option
	inherited systemd.Sockets   // instead of --listen, --admin-listen and --metrics-listen
	headers   []headers.Field   // sent with each callback
	secrets   []string          // that sign callbacks
	pending   []pendingChange   // what a reload could not change
}

// Demo reports whether the gateway runs with the demo's app beside it.
func (c *Config) Demo() bool { return c.Command == "demo" }

// OfOlares reports whether the callback URL was given as Olares gives it.
func (c *Config) OfOlares() bool { return c.Callback != "" && c.CallbackURL == "" }

// digest is the digest of a file's content, to see whether it changes.
type digest [sha256.Size]byte

func digestOf(text string) digest { return sha256.Sum256([]byte(text)) }

// Error says why a configuration cannot be used. Each line is a mistake of its own. The
// fields have what is known of the configuration in spite of the mistakes.
type Error struct {
	Command  string // "" if the command line has none
	JSON     bool   // check is to print JSON
	Bindings []Binding
	Outputs  Outputs

	err error
}

func (e *Error) Error() string { return e.err.Error() }

func (e *Error) Unwrap() error { return e.err }

// Outputs are the paths that a gateway writes to; "" for none.
type Outputs struct {
	Journal    string // a folder
	DeadLetter string // a file

	ResumeState string // likewise; written aside and renamed
}

// Outputs returns the paths that a gateway with this configuration writes to.
func (c *Config) Outputs() Outputs {
	if c.NoCallback {
		return Outputs{ResumeState: c.ResumeState}
	}
	return Outputs{Journal: c.Journal, DeadLetter: c.DeadLetter, ResumeState: c.ResumeState}
}

// Sockets returns the listeners that systemd has passed.
func (c *Config) Sockets() systemd.Sockets { return c.inherited }

// WithoutOutputs returns a copy that writes no files and connects to nobody.
func (c *Config) WithoutOutputs() *Config {
	without, options := *c, *c.Options
	without.Options = &options
	without.DeadLetter, without.Journal, without.ResumeState, without.Cluster = "", "", "", nil
	return &without
}
