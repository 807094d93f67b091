package api

import (
	"context"
	"net/http"
)

// Paths of the API.
const (
	PathSend   = "/tapr/ws/conn/send"
	PathClose  = "/tapr/ws/conn/close"
	PathList   = "/tapr/ws/conn/list"
	PathCount  = "/tapr/ws/conn/count"
	PathEvents = "/tapr/ws/conn/events"

	PathJoin   = "/tapr/ws/group/join"
	PathLeave  = "/tapr/ws/group/leave"
	PathGroups = "/tapr/ws/group/list"
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
}

// Send sends a message to clients.
func (c *Client) Send(ctx context.Context, command *SendCommand) (*Answer, error) {
	return c.Ask(ctx, http.MethodPost, PathSend, nil, command)
}

// CloseCommand is the body of a close.
type CloseCommand struct {
	Conns   []string `json:"conns,omitempty"`
	Users   []string `json:"users,omitempty"`
	Groups  []string `json:"groups,omitempty"`
	All     bool     `json:"all,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
	Code    int      `json:"code"`
	Reason  string   `json:"reason,omitempty"`
	Report  bool     `json:"report,omitempty"`
}

// CloseConnections closes connections of clients.
func (c *Client) CloseConnections(ctx context.Context, command *CloseCommand) (*Answer, error) {
	return c.Ask(ctx, http.MethodPost, PathClose, nil, command)
}

// GroupCommand is the body of a join and of a leave: which connections, and which groups
// they come into or out of.
type GroupCommand struct {
	Groups []string `json:"groups"`
	Conns  []string `json:"conns,omitempty"`
	Users  []string `json:"users,omitempty"`
	All    bool     `json:"all,omitempty"`
}

// Join puts connections into groups. A send that is called after it reaches them.
func (c *Client) Join(ctx context.Context, command *GroupCommand) (*Answer, error) {
	return c.Ask(ctx, http.MethodPost, PathJoin, nil, command)
}

// Leave takes connections out of groups.
func (c *Client) Leave(ctx context.Context, command *GroupCommand) (*Answer, error) {
	return c.Ask(ctx, http.MethodPost, PathLeave, nil, command)
}
