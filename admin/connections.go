package admin

import (
	"errors"
	"fmt"

	"github.com/valyala/fasthttp"

	"ws-gateway/admin/command"
	"ws-gateway/cluster"
)

// connections are those that a call is about.
func (s *Server) connections(local bool) cluster.Connections {
	if local {
		return s.cfg.Hub
	}
	return s.cfg.Cluster
}

// scope is which gateways a query is about.
type scope struct {
	local bool
	part  *cluster.Part // one of them; nil: all, unless local
}

// scopeIn reads the scope of a query. It may name an instance.
func (s *Server) scopeIn(args *fasthttp.Args) (scope, error) {
	name := string(args.Peek("scope"))
	local, err := command.ParseScope(name)
	switch {
	case err == nil:
		return scope{local: local}, nil
	case s.cfg.Instances == nil:
		return scope{}, fmt.Errorf("this gateway is in no cluster: %w", err)
	}
	part, err := s.cfg.Instances.At(name)
	if err != nil {
		err = fmt.Errorf("%w; scope must be \"local\", \"cluster\", or the name of an instance as %s lists them", err, statusPath)
	}
	return scope{part: part}, err
}

// readable are the connections that a query is about.
func (s *Server) readable(in scope) cluster.Readable {
	if in.part != nil {
		return in.part
	}
	return s.connections(in.local)
}

// missing returns the error of a call that has not reached every instance, nil if err is
// none.
func missing(err error) *cluster.MissingError {
	m, _ := errors.AsType[*cluster.MissingError](err)
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
	body = appendMissing(append(body, ','), m.Names)
	if m.Refused {
		body = append(body, `,"refused":true`...)
	}
	setHead(ctx, jsonType)
	ctx.Response.SetBodyRaw(append(body, '}'))
	return invalid
}

// appendMissing appends who is missing, as a member of an object.
func appendMissing(dst []byte, names []string) []byte {
	dst = append(dst, `"missing":[`...)
	for i, name := range names {
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
		begun = appendMissing(append(begun, ','), m.Names)
	}
	return answerData(ctx, begun)
}
