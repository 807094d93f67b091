package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"ws-gateway/cmd/ws-gateway/settings"
)

// standardConfig is where packages have the configuration of this host's gateway.
// It is looked at by those who ask a gateway and are not told which one.
const standardConfig = "/etc/ws-gateway/gateway.yaml"

// configured is a gateway's configuration as far as others need it to find that
// gateway: the environment, and below that a file.
type configured struct {
	env      settings.Environment
	file     map[string][]string // texts by option
	fileName string              // "": none
}

// get returns an option's value and where it comes from.
func (c *configured) get(option string) (value, from string) {
	if value = c.env[settings.EnvName(option)]; value != "" {
		return value, settings.EnvName(option)
	}
	if texts := c.file[option]; len(texts) > 0 {
		return texts[0], option + " in " + c.fileName
	}
	return "", ""
}

// findConfigured reads the file that --config or the environment names. Where
// neither does, nor says where the gateway is, it reads standard, if that is there.
func findConfigured(env settings.Environment, file, standard string) (*configured, error) {
	c := &configured{env: env, fileName: file}
	if file == "" {
		if c.fileName = standardIn(env, standard); c.fileName == "" {
			return c, nil
		}
	}
	var err error
	if c.file, err = settings.ReadFile(c.fileName, optionNames()); err != nil {
		return nil, &usageError{fmt.Sprintf("%v; --gateway says where the gateway is without %s", err, c.fileName)}
	}
	return c, nil
}

// standardIn returns standard if it is there and the environment says nothing of a
// gateway, "" otherwise: inside a container the environment is the configuration.
func standardIn(env settings.Environment, standard string) string {
	for _, option := range []string{"listen", "admin-listen", "config"} {
		if env[settings.EnvName(option)] != "" {
			return ""
		}
	}
	if _, err := os.Stat(standard); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return standard // or it cannot be looked at, and reading it says so
}

// optionNames are the names of the gateway's options.
func optionNames() []string { return settings.Names(settings.Options(gatewayModel().Flags)) }

// locate says where the gateway is, and with which token it is asked. The
// configuration of a gateway tells both, so that inside its container, and on a host
// with the package, nothing need be typed. Its token is for this gateway alone.
func (o *gatewayOptions) locate(env settings.Environment, standard string) (where, token string, err error) {
	token, err = tokenFrom(o.Token, o.TokenFile, "--token", "--token-file")
	if err != nil || o.Gateway != "" {
		if err == nil {
			where, err = gatewayURL(o.Gateway)
		}
		return where, token, err
	}
	c, err := findConfigured(env, env[settings.EnvName("config")], standard)
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
