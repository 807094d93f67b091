package admin

import (
	"context"

	"github.com/gobwas/ws"

	"ws-gateway/hub"
	"ws-gateway/netpoll"
)

// Connections is what the calls of the API are about: the connections of this gateway,
// which its hub knows, or those of all instances of a cluster. Package hub says what each
// method does.
type Connections interface {
	SendThen(ctx context.Context, t hub.Targets, frame *netpoll.Frame, wait bool, done hub.Releaser) (hub.Report, error)
	Close(ctx context.Context, t hub.Targets, code ws.StatusCode, reason string) (hub.Report, error)
	Join(ctx context.Context, t hub.Targets, groups []string) (matched int, err error)
	Leave(ctx context.Context, t hub.Targets, groups []string) (matched int, err error)

	ListMembers(ctx context.Context, groups []string, q hub.Query, yield func(user string, conns []hub.Info) error) (next string, err error)
	CountMembers(ctx context.Context, groups []string) (connections, users int, err error)
	ListGroups(ctx context.Context, q hub.GroupQuery, yield func([]hub.Group) error) (next string, err error)
	Describe(ctx context.Context, id string) (info hub.Info, groups []string, ok bool, err error)
}

var _ Connections = (*hub.Hub)(nil)
