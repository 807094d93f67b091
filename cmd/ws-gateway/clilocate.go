package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// standardConfig is where packages have the configuration of this host's gateway.
// It is looked at by those who ask a gateway and are not told which one.
const standardConfig = "/etc/ws-gateway/gateway.yaml"

// configured is a gateway's configuration as far as others need it to find that
// gateway: the environment, and below that a file.
type configured struct {
	env      environment
	file     map[string]setting
	fileName string // "": none
}

// get returns an option's value and where it comes from.
func (c *configured) get(option string) (value, from string) {
	if value = c.env[envName(option)]; value != "" {
		return value, envName(option)
	}
	if s := c.file[option]; len(s.texts) > 0 {
		return s.texts[0], option + " in " + c.fileName
	}
	return "", ""
}

// findConfigured reads the file that --config or the environment names. Where
// neither does, nor says where the gateway is, it reads standard, if that is there.
func findConfigured(env environment, file, standard string) (*configured, error) {
	c := &configured{env: env, fileName: file}
	if file == "" {
		if c.fileName = standardIn(env, standard); c.fileName == "" {
			return c, nil
		}
	}
	m := newMistakes()
	if c.file = readConfigFile(c.fileName, optionNames(), m); len(m.names) > 0 {
		return nil, &usageError{fmt.Sprintf("%v; --gateway says where the gateway is without %s", m.names[0], c.fileName)}
	}
	return c, nil
}

// standardIn returns standard if it is there and the environment says nothing of a
// gateway, "" otherwise: inside a container the environment is the configuration.
func standardIn(env environment, standard string) string {
	for _, option := range []string{"listen", "admin-listen", "config"} {
		if env[envName(option)] != "" {
			return ""
		}
	}
	if _, err := os.Stat(standard); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return standard // or it cannot be looked at, and reading it says so
}

// optionNames are the names of the gateway's options.
func optionNames() (names []string) {
	parser, err := newParser(&commandLine{}, &resolver{}, io.Discard)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	for _, f := range parser.Model.Flags {
		if f.Group != nil && f.Group.Key != "actions" {
			names = append(names, f.Name)
		}
	}
	return names
}

// locate says where the gateway is, and with which token it is asked. The
// configuration of a gateway tells both, so that inside its container, and on a host
// with the package, nothing need be typed. Its token is for this gateway alone.
func (o *gatewayOptions) locate(env environment, standard string) (where, token string, err error) {
	token, err = tokenFrom(o.Token, o.TokenFile, "--token", "--token-file")
	if err != nil || o.Gateway != "" {
		if err == nil {
			where, err = gatewayURL(o.Gateway)
		}
		return where, token, err
	}
	c, err := findConfigured(env, env[envName("config")], standard)
	if err != nil {
		return "", "", err
	}
	if where, err = c.management(); err != nil || token != "" {
		return where, token, err
	}
	text, textFrom := c.get("admin-token")
	file, fileFrom := c.get("admin-token-file")
	token, err = tokenFrom(text, file, textFrom, fileFrom)
	return where, token, err
}

// management is where the gateway's management API is.
func (c *configured) management() (string, error) {
	addr, from := c.get("admin-listen")
	if addr == "" {
		addr, from = c.get("listen")
	}
	switch {
	case addr == "":
		addr = ":40010"
	case strings.HasPrefix(addr, "unix:"):
		return addr, nil
	case !isTCPAddress(addr):
		return "", usagef("%s: %q is no address: name the gateway with --gateway", from, addr)
	}
	return managementURL(addr), nil
}
