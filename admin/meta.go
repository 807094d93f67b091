package admin

import (
	"errors"

	"github.com/valyala/fasthttp"

	"ws-gateway/admin/budget"
	"ws-gateway/admin/command"
	"ws-gateway/hub"
)

// meta gives connections metadata, and answers when they have it.
func (s *Server) meta(ctx *fasthttp.RequestCtx, body []byte, mem *budget.Reservation) outcome {
	defer mem.Release()
	cmd, err := command.ParseMeta(body, mem, s.settings.Load().maxBodyBytes)
	if err != nil {
		return answerUnparsed(ctx, err)
	}
	value, err := s.cfg.Hub.ParseMeta(cmd.JSON)
	if err != nil {
		return answerInvalid(ctx, fasthttp.StatusBadRequest, err.Error())
	}
	wait := s.hubWait()
	defer wait.release()
	matched, err := s.connections(cmd.Local).SetMeta(wait, cmd.Targets, value)
	switch lost := missing(err); {
	case lost != nil:
		return answerPartly(ctx, lost, append(appendMatched(matched), '}'))
	case err == nil:
		return answerData(ctx, append(appendMatched(matched), '}'))
	case errors.Is(err, hub.ErrNoMeta), errors.As(err, new(*hub.MetaLimitError)):
		return answerInvalid(ctx, fasthttp.StatusBadRequest, "another gateway of the cluster: "+err.Error())
	case errors.Is(err, hub.ErrMetaMemory):
		ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, "1")
		return answerRefusal(ctx, refusal{fasthttp.StatusServiceUnavailable, err.Error()}, false)
	}
	return s.answerFault(ctx, err, "not every event loop has answered in time: some of the connections may have the metadata, others not")
}
