package cli

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"ws-gateway/cmd/ws-gateway/api"
	"ws-gateway/cmd/ws-gateway/internal/address"
	"ws-gateway/cmd/ws-gateway/locate"
	"ws-gateway/cmd/ws-gateway/settings"
)

// gateway is the gateway that is asked. Its errors say what to do.
type gateway struct {
	*api.Client
	options  *gatewayOptions
	hasToken bool
}

// gateway finds the gateway and its token.
func (o *gatewayOptions) gateway(s *surroundings) (*gateway, error) {
	at, token, err := o.locate(s, locate.StandardConfig)
	if err != nil {
		return nil, err
	}
	switch {
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, usagef("the token must be printable ASCII without blanks")
	case at == "unix:":
		return nil, usagef("--gateway %q: must have the path of a socket after unix:", at)
	}
	client, err := api.New(at, token, o.Timeout)
	if err != nil {
		return nil, fmt.Errorf("BUG: %w", err)
	}
	return &gateway{client, o, token != ""}, nil
}

// locate says where the gateway is, and with which token it is asked. If neither is
// given, the gateway's configuration has both; its token is for that gateway alone.
func (o *gatewayOptions) locate(s *surroundings, standard string) (at, token string, err error) {
	if token, err = locate.Token(o.Token, o.TokenFile, "--token", "--token-file"); err != nil {
		return "", "", &usageError{err.Error()}
	}
	if o.Gateway != "" {
		at, err = gatewayURL(o.Gateway)
		return at, token, err
	}
	c, err := locate.Read(s.env, standard, s.options)
	if err == nil {
		at, err = c.API()
	}
	if err == nil && token == "" {
		token, err = c.Token()
	}
	if err != nil {
		return "", "", &usageError{err.Error()}
	}
	return at, token, nil
}

// gatewayURL completes what --gateway says. An address without a host, as --listen takes
// it, is on this host.
func gatewayURL(typed string) (string, error) {
	const form = "must be http://HOST:PORT, https://HOST, HOST:PORT, :PORT for this host, or unix:/path"
	switch {
	case strings.HasPrefix(typed, "unix:"):
		return typed, nil
	case strings.HasPrefix(typed, "/"), strings.HasPrefix(typed, "./"):
		return "", usagef("--gateway %q: a socket is written as unix:%s", typed, typed)
	case digitsOnly(typed):
		return "", usagef("--gateway %q: a port of this host is written as :%s", typed, typed)
	case !strings.Contains(typed, "://"):
		typed = "http://" + typed
	}
	where, err := url.Parse(typed)
	switch {
	case err != nil:
		return "", usagef("--gateway: " + form) // it may have a password in it
	case where.User != nil || where.RawQuery != "" || where.Fragment != "":
		return "", usagef("--gateway: " + form + ", without user, query and fragment")
	case where.Scheme != "http" && where.Scheme != "https" || where.Host == "" || !address.IsPort(where.Port()):
		return "", usagef("--gateway %q: "+form, typed)
	case where.Hostname() == "" || net.ParseIP(where.Hostname()).IsUnspecified():
		if where.Port() == "" {
			return "", usagef("--gateway %q: "+form, typed)
		}
		where.Host = strings.TrimPrefix(address.URL(where.Host), "http://")
	}
	return where.String(), nil
}

func digitsOnly(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// answer passes on what a method of api.Client has returned, with advice. There may be an
// answer beside the error.
func (g *gateway) answer(a *api.Answer, err error) (*api.Answer, error) { return a, g.advise(err) }

// advise appends to an error what the user can do about it.
func (g *gateway) advise(err error) error {
	if no, ok := errors.AsType[*api.Refusal](err); ok {
		switch no.Status {
		case http.StatusUnauthorized:
			if g.hasToken {
				return advised{err, no.At + " does not take this token (401)"}
			}
			return advised{err, no.At + " wants its admin token (401): give --token-file FILE, or set " + settings.EnvName("token")}
		case http.StatusNotFound:
			return advised{err, no.Error() + "; is this a gateway's management API, of this version?"}
		case http.StatusRequestEntityTooLarge:
			return advised{err, no.Error() + "; the gateway's --max-api-body can be raised"}
		case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
			return advised{err, no.Error() + "; name the address that it points to with --gateway"}
		}
	}
	if none, ok := errors.AsType[*api.Unreachable](err); ok {
		switch none.Reason {
		case api.Nobody:
			return advised{err, none.Error() + "; --gateway says where it is"}
		case api.Forbidden:
			return advised{err, none.Error() + "; its owner may connect"}
		case api.Slow:
			return advised{err, fmt.Sprintf("%s has not answered within %v (--timeout)", none.At, g.options.Timeout)}
		}
	}
	return err
}

// advised is an error with another text.
type advised struct {
	error
	text string
}

func (e advised) Error() string { return e.text }
func (e advised) Unwrap() error { return e.error }
