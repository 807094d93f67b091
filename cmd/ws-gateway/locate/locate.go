// Package locate finds the gateway of this host, with its token, by its configuration:
// the environment and the file. Inside the gateway's container, and on a host with the
// package, nobody need type an address then.
//
// It may import settings, internal/address and internal/textfile.
package locate

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"ws-gateway/cmd/ws-gateway/internal/address"
	"ws-gateway/cmd/ws-gateway/internal/textfile"
	"ws-gateway/cmd/ws-gateway/settings"
)

// StandardConfig is where packages install the configuration of the host's gateway.
const StandardConfig = "/etc/ws-gateway/gateway.yaml"

// Standard returns file, a standard configuration, if it is there and the environment
// says nothing about a gateway; otherwise "". Inside a container the environment is the
// configuration.
func Standard(env settings.Environment, file string) string {
	for _, option := range []string{"listen", "admin-listen", "config"} {
		if env[settings.EnvName(option)] != "" {
			return ""
		}
	}
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return file // or it cannot be looked at, and reading it says so
}

// Configuration is what the gateway would be started with, as far as it says where the
// gateway is.
type Configuration struct {
	env      settings.Environment
	file     map[string][]string // texts by option
	fileName string              // "": none
}

// Read reads the file that the environment names. If it names none, and does not say
// where the gateway is either, Read takes standard, if that is there. options returns the
// names of all options that the file may set.
func Read(env settings.Environment, standard string, options func() []string) (*Configuration, error) {
	c := &Configuration{env: env, fileName: env[settings.EnvName("config")]}
	if c.fileName == "" {
		if c.fileName = Standard(env, standard); c.fileName == "" {
			return c, nil
		}
	}
	var err error
	if c.file, err = settings.ReadFile(c.fileName, options()); err != nil {
		return nil, fmt.Errorf("%w; --gateway says where the gateway is without %s", err, c.fileName)
	}
	return c, nil
}

// get returns an option's value and where it comes from.
func (c *Configuration) get(option string) (value, from string) {
	if value = c.env[settings.EnvName(option)]; value != "" {
		return value, settings.EnvName(option)
	}
	if texts := c.file[option]; len(texts) > 0 {
		return texts[0], option + " in " + c.fileName
	}
	return "", ""
}

// API is where the management API is: a URL, or unix:/path.
func (c *Configuration) API() (string, error) {
	addr, from := c.get("admin-listen")
	if addr == "" {
		addr, from = c.get("listen")
	}
	switch {
	case addr == "":
		addr = ":40010"
	case strings.HasPrefix(addr, "unix:"):
		return addr, nil
	case !address.IsTCP(addr):
		return "", fmt.Errorf("%s: %q is no address: name the gateway with --gateway", from, addr)
	}
	return address.URL(addr), nil
}

// Token is the admin token; "" for none.
func (c *Configuration) Token() (string, error) {
	text, textFrom := c.get("admin-token")
	file, fileFrom := c.get("admin-token-file")
	return Token(text, file, textFrom, fileFrom)
}

// Token returns the token that is given as text or in a file, not both. The names are
// for messages.
func Token(text, file, textName, fileName string) (string, error) {
	switch {
	case file == "":
		return text, nil
	case text != "":
		return "", fmt.Errorf("%s and %s: only one of them can be used", textName, fileName)
	}
	data, err := textfile.ReadSecret(file)
	if err != nil {
		return "", fmt.Errorf("%s %q: %w", fileName, file, textfile.WithoutPath(err))
	}
	token := strings.TrimSpace(string(data))
	if token == "" {
		return "", fmt.Errorf("%s %q: the file is empty", fileName, file)
	}
	return token, nil
}
