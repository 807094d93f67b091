// Package api is a client of a gateway's management API, for commands that talk to a
// gateway that runs. It says what the gateway refused and why it could not be asked, and
// leaves advice to its callers.
//
// It may import internal/terminal.
package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxAnswer bounds an answer. A page of connections is smaller, even if User-Agents
// fill their request heads.
const maxAnswer = 64 << 20

// Client asks one gateway. It may be used by several goroutines.
type Client struct {
	at      string // for messages
	base    url.URL
	token   string
	timeout time.Duration
	http    http.Client
}

// New returns a client of the API at a URL, or at "unix:" and the path of a socket.
// token may be empty. The timeout bounds each call; of [Client.Events] what comes before
// the body.
func New(at, token string, timeout time.Duration) (*Client, error) {
	c := &Client{at: at, token: token, timeout: timeout}
	var dialer net.Dialer
	transport := &http.Transport{
		ResponseHeaderTimeout: timeout, TLSHandshakeTimeout: timeout,
		MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			return dialer.DialContext(ctx, network, addr)
		},
	}
	if socket, unix := strings.CutPrefix(at, "unix:"); unix {
		at = "http://localhost"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		}
	}
	base, err := url.Parse(at)
	if err != nil {
		return nil, err
	}
	c.base = *base
	c.http = http.Client{
		Transport: transport,
		// The token is for the gateway alone, wherever it may redirect to.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// CloseIdle closes connections that are kept for the next call.
func (c *Client) CloseIdle() { c.http.CloseIdleConnections() }

// open calls a path of the API and returns an answer of status 200, whose body the
// caller closes. Other answers are a [*Refusal], and none at all an [*Unreachable].
func (c *Client) open(ctx context.Context, method, path string, query url.Values, body []byte) (*http.Response, error) {
	target := c.base
	target.Path = strings.TrimSuffix(target.Path, "/") + path
	target.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	return c.do(&c.http, request)
}

func (c *Client) do(client *http.Client, request *http.Request) (*http.Response, error) {
	response, err := client.Do(request)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if response.StatusCode != http.StatusOK {
		defer response.Body.Close()
		return nil, &Refusal{At: c.at, Status: response.StatusCode, Message: Said(response.Body)}
	}
	return response, nil
}

// Answer is what the API answers.
type Answer struct {
	Code    *int            `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data"`
	Cursor  string          `json:"cursor"`
	Missing []string        `json:"missing"` // instances of the cluster that were not reached
	Refused bool            `json:"refused"` // for that, nothing was done anywhere

	Raw []byte `json:"-"` // all of it
}

// ask calls a path of the API, with a command as JSON unless it is nil, and reads the
// whole answer. What the gateway did not do is a [*Refusal], and what it may have done in
// part an [*Incomplete]; beside these is the answer, if it is a gateway's.
func (c *Client) ask(ctx context.Context, method, path string, query url.Values, command any) (*Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
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
	response, err := c.open(ctx, method, path, query, body)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	a := new(Answer)
	if a.Raw, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer)); err != nil {
		return nil, c.unreachable(err)
	}
	if err := json.Unmarshal(a.Raw, a); err != nil || a.Code == nil {
		return nil, fmt.Errorf("%s answers something that is not a gateway's", c.at)
	}
	switch {
	case *a.Code == 0:
		return a, nil
	case len(a.Missing) > 0:
		return a, &Incomplete{*a.Code, a}
	}
	return a, &Refusal{At: c.at, Status: http.StatusOK, Code: *a.Code, Message: a.Message}
}

// Metric returns the value of one of the gateway's metrics, whose labels are part of its
// name.
func (c *Client) Metric(ctx context.Context, name string) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	response, err := c.open(ctx, http.MethodGet, pathMetrics, nil, nil)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(io.LimitReader(response.Body, maxAnswer))
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	if err := lines.Err(); err != nil {
		return 0, c.unreachable(err)
	}
	return 0, fmt.Errorf("%s has no metric %s", c.at, name)
}

// Probe gets a path below the URL of the client, or that URL itself if path is empty. It
// sends no token and follows redirects. It returns the first line of the answer.
func (c *Client) Probe(ctx context.Context, path string) (said string, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	target := c.base
	if path != "" {
		target.Path = path
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return "", err
	}
	response, err := c.do(&http.Client{Transport: c.http.Transport}, request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	return Said(response.Body), nil
}
