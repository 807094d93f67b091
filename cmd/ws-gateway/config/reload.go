package config

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"ws-gateway/cmd/ws-gateway/internal/reload"
	"ws-gateway/cmd/ws-gateway/settings"
)

// A reload reads the configuration again, from the same command line and environment
// and from the files as they are now, and checks it as a start does. Options that
// cannot be changed while the process runs (those without reload in the table) keep
// their values; the result is checked once more.

// pendingChange is a value that an option has now, and that a restart puts into
// force.
type pendingChange struct {
	option, shown string
	from          settings.Source
}

// Pending returns the options whose values need a restart to be put into force.
func (c *Config) Pending() (options []string) {
	for _, p := range c.pending {
		options = append(options, p.option)
	}
	return options
}

// Reread reads the configuration of a gateway that runs with c again. Of the result,
// options that need a restart have the values that they have in c. It returns the
// options that differ. c stays as it is.
func (c *Config) Reread() (next *Config, changed []string, err error) {
	if next, err = c.again(); err != nil {
		return nil, nil, err
	}
	_, restart := reload.Compare(c.compared(), next.compared())
	if err := next.hold(c, restart); err != nil {
		return nil, nil, err
	}
	changed, _ = reload.Compare(c.compared(), next.compared()) // hold has read files once more
	return next, changed, nil
}

// knownToDemo are options that the demo's app reads only when it starts.
var knownToDemo = []string{"user-header", "admin-token", "admin-token-file"}

// compared is what a reload compares of a configuration.
func (c *Config) compared() (options []reload.Option) {
	for _, v := range c.Values {
		o := reload.Option{Name: v.Name, Value: v.Target.Interface(), Can: v.Reloads() && !(c.Demo() && slices.Contains(knownToDemo, v.Name))}
		if content, ok := c.contents[v.Name]; ok && !v.Target.IsZero() {
			o.Content = content
		}
		options = append(options, o)
	}
	return options
}

// again reads the configuration as if the process started now.
func (c *Config) again() (*Config, error) {
	parser := c.parser
	parser.Out = io.Discard
	next, err := parser.parse(c.args)
	if next.Values != nil && c.fileKeys > 0 && next.fileKeys == 0 && !next.Blind() {
		return nil, fmt.Errorf("--config %q: the file has no options in it, where it had %d: is it being written? Put a finished file in its place (mv)", c.Config, c.fileKeys)
	}
	if err != nil {
		return nil, err
	}
	next.FitMemory()
	next.TakeOver(c.inherited)
	if c.Demo() {
		next.Callback = c.Callback
	}
	return next, nil
}

// hold gives the options the values that they have in old, as they need a restart, and
// checks the result.
func (c *Config) hold(old *Config, options []string) error {
	if len(options) == 0 {
		return nil
	}
	for _, option := range options {
		v := c.Lookup(option)
		c.pending = append(c.pending, pendingChange{option, v.Shown(), c.From(option)})
		v.Target.Set(old.Lookup(option).Target)
		delete(c.Sources, option)
		if from, ok := old.Sources[option]; ok {
			c.Sources[option] = from
		}
	}
	c.Warnings = nil
	if err := c.finish(); err != nil {
		return fmt.Errorf("with --%s as before, for which a restart is needed: %w", strings.Join(options, " and --"), err)
	}
	if c.Demo() {
		c.Callback = old.Callback
	}
	return nil
}
