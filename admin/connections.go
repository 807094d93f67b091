package admin

import (
	"context"
	"errors"

	"github.com/gobwas/ws"
	"github.com/valyala/fasthttp"

	"ws-gateway/admin/command"
	"ws-gateway/cluster"
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

var (
	_ Connections = (*hub.Hub)(nil)
	_ Connections = (*cluster.Cluster)(nil)
)

// connections are those that a call is about.
func (s *Server) connections(local bool) Connections {
	if local {
		return s.cfg.Hub
	}
	return s.cfg.Cluster
}

// scopeIn reads the scope of a query.
func scopeIn(args *fasthttp.Args) (local bool, err error) {
	return command.ParseScope(string(args.Peek("scope")))
}

// missing returns the error of a call that has not reached every instance, nil if err is
// none.
func missing(err error) *cluster.MissingError {
	var m *cluster.MissingError
	errors.As(err, &m)
	return m
}

// answerPartly answers a call that has changed something and not reached every instance.
// data is what is known of the others, begun with newData; nil: nothing.
func answerPartly(ctx *fasthttp.RequestCtx, m *cluster.MissingError, data []byte) outcome {
	code := fasthttp.StatusBadGateway
	if m.Late {
		code = fasthttp.StatusGatewayTimeout
	}
	return answerMissing(ctx, code, m, data)
}

func answerMissing(ctx *fasthttp.RequestCtx, code int, m *cluster.MissingError, data []byte) outcome {
	body := appendError(nil, code, m.Error())
	body = body[:len(body)-1]
	if data != nil {
		body = append(body, data[len(succeeded):]...)
	}
	setHead(ctx, jsonType)
	ctx.Response.SetBodyRaw(append(appendNames(body, m), '}'))
	return invalid
}

// appendNames appends who is missing to an answer.
func appendNames(dst []byte, m *cluster.MissingError) []byte {
	dst = append(dst, `,"missing":[`...)
	for i, name := range m.Names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, name)
	}
	return append(dst, ']')
}

// answerKnown answers with data that may lack what instances that are missing have.
func answerKnown(ctx *fasthttp.RequestCtx, begun []byte, m *cluster.MissingError) outcome {
	if m != nil {
		begun = appendNames(begun, m)
	}
	return answerData(ctx, begun)
}
