package admin

import (
	"strconv"

	"github.com/valyala/fasthttp"
)

// count answers with the numbers of connections and of connected users: all, or those that a
// list with the same query would have.
func (s *Server) count(ctx *fasthttp.RequestCtx, t target) outcome {
	q, groups, in, err := s.parseQuery(t.query)
	if err != nil {
		return answerInvalid(ctx, fasthttp.StatusBadRequest, err.Error())
	}
	wait := s.hubWait()
	defer wait.release()
	mem := s.memory.lists.Reserve()
	defer mem.Release()
	if groups != nil {
		if err := s.growForMembers(wait, mem, groups, countedMember); err != nil {
			return s.answerUnread(ctx, err)
		}
	}
	connections, users, err := s.readable(in).CountMembers(wait, groups, q)
	lost := missing(err)
	if err != nil && lost == nil {
		return s.answerUnread(ctx, err)
	}
	return answerKnown(ctx, appendCount(connections, users), lost)
}

// appendCount is the data of an answer to a count.
func appendCount(connections, users int) []byte {
	body := append(newData(64), `{"connections":`...)
	body = strconv.AppendInt(body, int64(connections), 10)
	body = append(body, `,"users":`...)
	body = strconv.AppendInt(body, int64(users), 10)
	return append(body, '}')
}

// get describes one connection.
func (s *Server) get(ctx *fasthttp.RequestCtx, t target) outcome {
	args := fasthttp.AcquireArgs()
	defer fasthttp.ReleaseArgs(args)
	args.ParseBytes(t.query)
	id := string(args.Peek("conn_id"))
	if id == "" {
		return answerInvalid(ctx, fasthttp.StatusBadRequest, errNoConn.Error())
	}
	in, err := s.scopeIn(args)
	if err != nil {
		return answerInvalid(ctx, fasthttp.StatusBadRequest, err.Error())
	}
	wait := s.hubWait()
	defer wait.release()
	info, groups, ok, err := s.readable(in).Describe(wait, id)
	switch lost := missing(err); {
	case lost != nil: // it may be there
		return answerMissing(ctx, fasthttp.StatusGatewayTimeout, lost, nil)
	case err != nil:
		return s.answerUnread(ctx, err)
	case !ok:
		return answerInvalid(ctx, fasthttp.StatusNotFound, "no such connection")
	}
	body := appendConn(newData(512), &info, true)
	body = append(body[:len(body)-1], `,"groups":[`...)
	for i, name := range groups {
		if i > 0 {
			body = append(body, ',')
		}
		body = appendString(body, name)
	}
	return answerData(ctx, append(body, "]}"...))
}

// healthy answers 200.
func (s *Server) healthy(ctx *fasthttp.RequestCtx, _ target) outcome {
	return answer(ctx, textType, []byte("ok\n"))
}

// ready answers 200 while new clients are taken.
func (s *Server) ready(ctx *fasthttp.RequestCtx, _ target) outcome {
	if ok, why := s.cfg.Ready(); !ok {
		return answerRefusal(ctx, refusal{fasthttp.StatusServiceUnavailable, why}, true)
	}
	return answer(ctx, textType, []byte("ok\n"))
}
