package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// checkCallbacks checks the options of callbacks, where they go apart.
func (c *config) checkCallbacks() error {
	return errors.Join(c.checkSecrets(), c.checkReplies())
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
