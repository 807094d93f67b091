package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
)

// Paths of the API.
const (
	pathSend   = "/tapr/ws/conn/send"
	pathClose  = "/tapr/ws/conn/close"
	pathList   = "/tapr/ws/conn/list"
	pathCount  = "/tapr/ws/conn/count"
	pathEvents = "/tapr/ws/conn/events"
	pathMeta   = "/tapr/ws/conn/meta"

	pathJoin   = "/tapr/ws/group/join"
	pathLeave  = "/tapr/ws/group/leave"
	pathGroups = "/tapr/ws/group/list"

	pathMetrics = "/metrics"
)

// SendCommand is the body of a send.
type SendCommand struct {
	Conn     string   `json:"conn_id,omitempty"`
	Conns    []string `json:"conns,omitempty"`
	Users    []string `json:"users,omitempty"`
	Groups   []string `json:"groups,omitempty"`
	All      bool     `json:"all,omitempty"`
	Exclude  []string `json:"exclude,omitempty"`
	Report   bool     `json:"report,omitempty"`
	Encoding string   `json:"encoding,omitempty"`
	Payload  any      `json:"payload"`
	Scope    string   `json:"scope,omitempty"`
}

// Send sends a message to clients.
func (c *Client) Send(ctx context.Context, command *SendCommand) (*Answer, error) {
	return c.ask(ctx, http.MethodPost, pathSend, nil, command)
}

// CloseCommand is the body of a close.
type CloseCommand struct {
	Conns   []string `json:"conns,omitempty"`
	Users   []string `json:"users,omitempty"`
	Groups  []string `json:"groups,omitempty"`
	Remote  string   `json:"remote,omitempty"`
	All     bool     `json:"all,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
	Code    int      `json:"code"`
	Reason  string   `json:"reason,omitempty"`
	Report  bool     `json:"report,omitempty"`
	Scope   string   `json:"scope,omitempty"`
}

// CloseConnections closes connections of clients.
func (c *Client) CloseConnections(ctx context.Context, command *CloseCommand) (*Answer, error) {
	return c.ask(ctx, http.MethodPost, pathClose, nil, command)
}

// GroupCommand is the body of a join and of a leave: which connections, and which groups
// they come into or out of.
type GroupCommand struct {
	Groups  []string `json:"groups"`
	Conns   []string `json:"conns,omitempty"`
	Users   []string `json:"users,omitempty"`
	All     bool     `json:"all,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
	Scope   string   `json:"scope,omitempty"`
}

// MetaCommand is the body of a call that gives connections metadata, or takes it from them
// if Meta is null.
type MetaCommand struct {
	Conns   []string        `json:"conns,omitempty"`
	Users   []string        `json:"users,omitempty"`
	Groups  []string        `json:"groups,omitempty"`
	All     bool            `json:"all,omitempty"`
	Exclude []string        `json:"exclude,omitempty"`
	Meta    json.RawMessage `json:"meta"`
	Scope   string          `json:"scope,omitempty"`
}

// SetMeta gives connections metadata.
func (c *Client) SetMeta(ctx context.Context, command *MetaCommand) (*Answer, error) {
	return c.ask(ctx, http.MethodPost, pathMeta, nil, command)
}

// List returns a page of the connections by user. The query selects them; nil: all.
func (c *Client) List(ctx context.Context, query url.Values) (*Answer, error) {
	return c.ask(ctx, http.MethodGet, pathList, query, nil)
}

// Count returns how many connections and users there are. The query selects them.
func (c *Client) Count(ctx context.Context, query url.Values) (*Answer, error) {
	return c.ask(ctx, http.MethodGet, pathCount, query, nil)
}

// Events returns the stream of what happens from now on, as lines of JSON. The query
// selects it. The caller closes the body.
func (c *Client) Events(ctx context.Context, query url.Values) (*http.Response, error) {
	return c.open(ctx, http.MethodGet, pathEvents, query, nil)
}

// Groups returns a page of the groups. The query selects them; nil: all.
func (c *Client) Groups(ctx context.Context, query url.Values) (*Answer, error) {
	return c.ask(ctx, http.MethodGet, pathGroups, query, nil)
}

// Join puts connections into groups. A send that is called after it reaches them.
func (c *Client) Join(ctx context.Context, command *GroupCommand) (*Answer, error) {
	return c.ask(ctx, http.MethodPost, pathJoin, nil, command)
}

// Leave takes connections out of groups.
func (c *Client) Leave(ctx context.Context, command *GroupCommand) (*Answer, error) {
	return c.ask(ctx, http.MethodPost, pathLeave, nil, command)
}
