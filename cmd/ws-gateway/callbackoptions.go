package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"ws-gateway/forward"
)

// checkCallbacks checks the options of callbacks, where they go apart.
func (c *config) checkCallbacks() error {
	return errors.Join(c.checkSecrets(), c.checkReplies(), c.checkHeaders(), c.checkForwarded(), c.checkTLS())
}

// checkHeaders reads the headers that go with each callback. Their values may be
// secrets: what is wrong is said without showing them.
func (c *config) checkHeaders() error {
	c.CallbackHeader = withoutEmpty(c.CallbackHeader)
	c.headers = nil
	for _, line := range c.CallbackHeader {
		name, value, found := strings.Cut(line, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		reason := forward.CheckHeader(name)
		switch {
		case !found:
			return c.reject("callback-header", "a header such as 'X-Name: value'")
		case reason != "":
			return invalid("callback-header", name, c.from("callback-header"), "the name of another header: "+reason)
		case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
			return invalid("callback-header", name, c.from("callback-header"), "a header without control characters in its value")
		}
		c.headers = append(c.headers, forward.Field{Name: name, Value: value})
	}
	return nil
}

func (c *config) checkForwarded() error {
	c.ForwardHeader = withoutEmpty(c.ForwardHeader)
	for _, name := range c.ForwardHeader {
		if reason := forward.CheckHeader(name); reason != "" && !strings.EqualFold(name, "Cookie") {
			return invalid("forward-header", name, c.from("forward-header"), "the name of another header: "+reason)
		}
	}
	return nil
}

func (c *config) checkReplies() error {
	if !c.CallbackReply || c.CallbackBatch <= 1 {
		return nil
	}
	return fmt.Errorf("--callback-reply (from %s) and --callback-batch %d (from %s): only one of them can be used, the answer to a batch speaks to no connection in particular",
		c.from("callback-reply"), c.CallbackBatch, c.from("callback-batch"))
}

// checkSecrets puts together the secrets of callbacks: those given one by one,
// then those of the file, one a line.
func (c *config) checkSecrets() error {
	c.CallbackSecret = withoutEmpty(c.CallbackSecret)
	c.secrets = slices.Clone(c.CallbackSecret)
	if c.CallbackSecretFile == "" {
		return nil
	}
	const option = "callback-secret-file"
	data, err := os.ReadFile(c.CallbackSecretFile)
	if err != nil {
		return c.reject(option, "a file that can be read: "+withoutPath(err).Error())
	}
	before := len(c.secrets)
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line != "" {
			c.secrets = append(c.secrets, line)
		}
	}
	if len(c.secrets) == before {
		return c.reject(option, "a file with a secret in each line; this one is empty")
	}
	return nil
}
