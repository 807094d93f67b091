package admin

import (
	"errors"

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

// scopeIn reads the scope of a query.
func scopeIn(args *fasthttp.Args) (local bool, err error) {
	return command.ParseScope(string(args.Peek("scope")))
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
