package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"ws-gateway/cmd/ws-gateway/internal/terminal"
	"ws-gateway/cmd/ws-gateway/internal/textfile"
	"ws-gateway/cmd/ws-gateway/settings"
)

// maxAnswer bounds what is read of an answer: a page of connections whose
// User-Agents fill their request heads is less.
const maxAnswer = 64 << 20

// manager is a gateway's management API.
type manager struct {
	base    url.URL
	shown   string // where it is, for messages
	token   string
	timeout time.Duration
	client  http.Client
}

// refusedError is what the gateway, or a server, says where it could be asked and
// does not want.
type refusedError struct {
	text   string
	status int // of HTTP, where that says it
}

func (e *refusedError) Error() string { return e.text }

// passing reports whether it may be otherwise in a moment.
func (e *refusedError) passing() bool { return e.status >= 500 }

// manager finds the gateway and its token.
func (o *gatewayOptions) manager(env settings.Environment) (*manager, error) {
	where, token, err := o.locate(env, standardConfig)
	if err != nil {
		return nil, err
	}
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, usagef("the token must be printable ASCII without blanks")
	}
	m := &manager{shown: where, token: token, timeout: o.Timeout}
	var dialer net.Dialer
	transport := &http.Transport{ResponseHeaderTimeout: o.Timeout, TLSHandshakeTimeout: o.Timeout, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, o.Timeout)
		defer cancel()
		return dialer.DialContext(ctx, network, addr)
	}}
	if socket, unix := strings.CutPrefix(where, "unix:"); unix {
		if socket == "" {
			return nil, usagef("--gateway %q: must have the path of a socket after unix:", where)
		}
		where = "http://localhost"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		}
	}
	base, err := url.Parse(where)
	if err != nil {
		return nil, fmt.Errorf("BUG: %w", err)
	}
	m.base = *base
	m.client = http.Client{
		Transport: transport,
		// A token is for the gateway, not for whoever it may point at.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return m, nil
}

// gatewayURL completes what --gateway says: an address as --listen has it is
// one of this host.
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
	case where.Scheme != "http" && where.Scheme != "https" || where.Host == "" || !isPort(where.Port()):
		return "", usagef("--gateway %q: "+form, typed)
	case where.Hostname() == "" || net.ParseIP(where.Hostname()).IsUnspecified():
		if where.Port() == "" {
			return "", usagef("--gateway %q: "+form, typed)
		}
		where.Host = strings.TrimPrefix(managementURL(where.Host), "http://")
	}
	return where.String(), nil
}

// isPort reports whether a URL's port can be one. Empty is the scheme's.
func isPort(port string) bool {
	_, err := strconv.ParseUint(port, 10, 16)
	return port == "" || err == nil
}

func digitsOnly(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// tokenFrom returns the token, or what is in the file.
func tokenFrom(token, file, tokenName, fileName string) (string, error) {
	switch {
	case file == "":
		return token, nil
	case token != "":
		return "", usagef("%s and %s: only one of them can be used", tokenName, fileName)
	}
	data, err := textfile.ReadSecret(file)
	if err != nil {
		return "", usagef("%s %q: %v", fileName, file, textfile.WithoutPath(err))
	}
	if token = strings.TrimSpace(string(data)); token == "" {
		return "", usagef("%s %q: the file is empty", fileName, file)
	}
	return token, nil
}

// open asks, and returns an answer of status 200. The caller closes its body.
func (m *manager) open(ctx context.Context, method, path string, query url.Values, body []byte) (*http.Response, error) {
	target := m.base
	target.Path = strings.TrimSuffix(target.Path, "/") + path
	target.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if m.token != "" {
		request.Header.Set("Authorization", "Bearer "+m.token)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := m.client.Do(request)
	if err != nil {
		return nil, m.unreachable(err)
	}
	if response.StatusCode != http.StatusOK {
		defer response.Body.Close()
		return nil, m.refused(response)
	}
	return response, nil
}

// unreachable says in a line why there is no answer.
func (m *manager) unreachable(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // without the URL and its query
	}
	timeout, isNet := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("no gateway at %s: %w; --gateway says where it is", m.shown, rootOf(err))
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%s: %w; its owner may connect", m.shown, rootOf(err))
	case errors.Is(err, context.DeadlineExceeded), isNet && timeout.Timeout():
		return fmt.Errorf("%s has not answered within %v (--timeout)", m.shown, m.timeout)
	}
	return fmt.Errorf("asking %s: %w", m.shown, err)
}

// rootOf is the innermost error, without the address that is shown already.
func rootOf(err error) error {
	if number, ok := errors.AsType[syscall.Errno](err); ok {
		return number
	}
	return err
}

// refused says in a line what a status means, and what to do.
func (m *manager) refused(response *http.Response) error {
	said := firstLine(response.Body)
	advice := ""
	switch response.StatusCode {
	case http.StatusUnauthorized:
		if m.token != "" {
			return &refusedError{m.shown + " does not take this token (401)", response.StatusCode}
		}
		return &refusedError{m.shown + " wants its admin token (401): give --token-file FILE, or set " + settings.EnvName("token"), response.StatusCode}
	case http.StatusNotFound:
		advice = "; is this a gateway's management API, of this version?"
	case http.StatusRequestEntityTooLarge:
		advice = "; the gateway's --max-api-body can be raised"
	case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		advice = "; name the address that it points to with --gateway"
	}
	return &refusedError{fmt.Sprintf("%s answers %d: %s%s", m.shown, response.StatusCode, said, advice), response.StatusCode}
}

// firstLine is what an answer that is no success says; of JSON its message.
func firstLine(body io.Reader) string {
	text, _ := io.ReadAll(io.LimitReader(body, 4<<10)) // what there is of it
	var known struct{ Message string }
	if json.Unmarshal(text, &known) == nil && known.Message != "" {
		return terminal.Printable(known.Message)
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	return terminal.Printable(terminal.Cut(line, 300))
}

// answered is what the API answers.
type answered struct {
	Code    *int            `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data"`
	Cursor  string          `json:"cursor"`

	raw []byte
}

// ask asks and reads the answer, which is a success.
func (m *manager) ask(ctx context.Context, method, path string, query url.Values, command any) (*answered, error) {
	ctx, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel()
	var body []byte
	if command != nil {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(command); err != nil {
			return nil, err
		}
		body = b.Bytes()
	}
	response, err := m.open(ctx, method, path, query, body)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	a := new(answered)
	if a.raw, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer)); err != nil {
		return nil, m.unreachable(err)
	}
	if err := json.Unmarshal(a.raw, a); err != nil || a.Code == nil {
		return nil, fmt.Errorf("%s answers something that is not a gateway's", m.shown)
	}
	if *a.Code != 0 {
		return nil, &refusedError{fmt.Sprintf("the gateway refuses: %s (code %d)", terminal.Printable(a.Message), *a.Code), 0}
	}
	return a, nil
}
