package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"ws-gateway/cmd/ws-gateway/internal/textfile"
	"ws-gateway/cmd/ws-gateway/settings"
	"ws-gateway/forward/headers"
	"ws-gateway/tracecontext"
)

// checkCallbacks checks the options of callbacks but for the URL.
func (c *Config) checkCallbacks() error {
	return errors.Join(c.checkSecrets(), c.checkExclusive(), c.checkHeaders(), c.checkForwarded(), c.checkTLS())
}

// checkHeaders parses the headers that go with each callback. Their values may be
// secrets, so errors do not show them.
func (c *Config) checkHeaders() error {
	c.headers = nil
	var errs []error
	for _, line := range c.CallbackHeader {
		name, value, found := strings.Cut(line, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		reason := headers.Check(name)
		switch {
		case !found:
			errs = append(errs, c.Reject("callback-header", "a header such as 'X-Name: value'"))
		case reason != "":
			errs = append(errs, settings.Invalid("callback-header", name, c.From("callback-header"), "the name of another header: "+reason))
		case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
			errs = append(errs, settings.Invalid("callback-header", name, c.From("callback-header"), "a header without control characters in its value"))
		}
		c.headers = append(c.headers, headers.Field{Name: name, Value: value})
	}
	return errors.Join(errs...)
}

func (c *Config) checkForwarded() error {
	var errs []error
	for _, name := range c.ForwardHeader {
		if reason := headers.Check(name); reason != "" && !strings.EqualFold(name, "Cookie") && !tracecontext.IsField(name) {
			errs = append(errs, settings.Invalid("forward-header", name, c.From("forward-header"), "the name of another header: "+reason))
		}
	}
	return errors.Join(errs...)
}

// checkExclusive refuses ways of calling the app that cannot be used together.
func (c *Config) checkExclusive() error {
	type use struct {
		option string
		used   bool
	}
	batch, reply := use{"callback-batch", c.CallbackBatch > 1}, use{"callback-reply", c.CallbackReply}
	groups := use{"callback-groups", c.CallbackGroups}
	pipeline := use{"callback-pipeline", c.CallbackPipeline > 1}
	authorize := use{"callback-open", c.CallbackOpen == "authorize"}
	var errs []error
	for _, pair := range []struct {
		a, b use
		why  string
	}{
		{reply, batch, "the answer to a batch speaks to no connection in particular"},
		{groups, batch, "the answer to a batch speaks of no connection in particular"},
		{pipeline, batch, "a batch is one POST already"},
		{pipeline, reply, "what the app sends while it answers must wait for that answer alone"},
		{pipeline, groups, "what the app sends while it answers must wait for that answer alone"},
		{pipeline, authorize, "what the app sends while it answers must wait for that answer alone"},
	} {
		if pair.a.used && pair.b.used && c.Certain(pair.a.option, pair.b.option) {
			errs = append(errs, fmt.Errorf("--%s (from %s) and --%s (from %s) cannot be used together: %s",
				pair.a.option, c.From(pair.a.option), pair.b.option, c.From(pair.b.option), pair.why))
		}
	}
	return errors.Join(errs...)
}

// checkSecrets collects the secrets that sign callbacks: those of the option, then those
// of the file, one a line.
func (c *Config) checkSecrets() error {
	c.secrets = slices.Clone(c.CallbackSecret)
	if c.CallbackSecretFile == "" {
		return nil
	}
	const option = "callback-secret-file"
	data, err := textfile.ReadSecret(c.CallbackSecretFile)
	if err != nil {
		return c.Reject(option, "a file that can be read: "+textfile.WithoutPath(err).Error())
	}
	c.contents[option] = digestOf(string(data))
	before := len(c.secrets)
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line != "" {
			c.secrets = append(c.secrets, line)
		}
	}
	if len(c.secrets) == before {
		return c.Reject(option, "a file with a secret in each line; this one is empty")
	}
	return nil
}
