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
)

// SendCommand is the body of a send.
type SendCommand struct {
	Conn     string   `json:"conn_id,omitempty"`
	Conns    []string `json:"conns,omitempty"`
	Users    []string `json:"users,omitempty"`
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
