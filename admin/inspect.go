package admin

import (
	"strconv"

	"github.com/valyala/fasthttp"
)

// count answers with the numbers of connections and of connected users.
func (s *Server) count(ctx *fasthttp.RequestCtx, _ target) outcome {
	connections, users := s.cfg.Hub.Count()
	body := append(newData(64), `{"connections":`...)
	body = strconv.AppendInt(body, int64(connections), 10)
	body = append(body, `,"users":`...)
	body = strconv.AppendInt(body, int64(users), 10)
	return answerData(ctx, append(body, '}'))
}

// get describes one connection.
func (s *Server) get(ctx *fasthttp.RequestCtx, t target) outcome {
	args := fasthttp.AcquireArgs()
	defer fasthttp.ReleaseArgs(args)
	args.ParseBytes(t.query)
	id := string(args.Peek("conn_id"))
	if id == "" {
		return answerInvalid(ctx, fasthttp.StatusBadRequest, "conn_id is missing")
	}
	info, ok := s.cfg.Hub.Get(id)
	if !ok {
		return answerInvalid(ctx, fasthttp.StatusNotFound, "no such connection")
	}
	return answerData(ctx, appendConn(newData(512), &info, true))
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
