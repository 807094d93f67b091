package admin

import (
	"context"
	"errors"
	"strconv"

	"github.com/valyala/fasthttp"

	"ws-gateway/admin/budget"
	"ws-gateway/admin/command"
	"ws-gateway/hub"
	"ws-gateway/netpoll"
)

// command reads the body of a call that changes something and runs it.
func (s *Server) command(ctx *fasthttp.RequestCtx, r *route) outcome {
	if s.retiring.Load() {
		return answerStopped(ctx)
	}
	at := s.memory.commands.Reserve()
	body, no := readBody(ctx, s.settings.Load().maxBodyBytes, at)
	if no.Status != 0 {
		at.Release()
		return answerRefusal(ctx, no, false)
	}
	return r.command(s, ctx, body, at)
}

// send gives one frame, built once, to the targets' loops. Until these are through
// with it, it has its place.
func (s *Server) send(ctx *fasthttp.RequestCtx, body []byte, at *budget.Reservation) outcome {
	cmd, err := command.ParseSend(body, at, s.settings.Load().maxBodyBytes)
	if err != nil {
		at.Release()
		return answerUnparsed(ctx, err)
	}
	frame := netpoll.NewFrame(cmd.Op, cmd.Payload)
	at.Keep(int64(frame.Len()))
	wait := &hubContext{Context: s.ctx, limit: s.cfg.hubTimeout}
	defer wait.release()
	report, err := s.cfg.Hub.SendThen(wait, cmd.Targets, frame, cmd.Report, at)
	switch {
	case err != nil && !cmd.Report:
		return s.answerFault(ctx, err, "an event loop that has targets did not take the message in time; others may have")
	case err != nil:
		return s.answerFault(ctx, err, "the message is on its way, but not every event loop has taken it in time")
	case !cmd.Report:
		return answerSuccess(ctx)
	}
	return answerReport(ctx, report)
}

// close closes the targets and answers when they are off the list.
func (s *Server) close(ctx *fasthttp.RequestCtx, body []byte, at *budget.Reservation) outcome {
	defer at.Release()
	cmd, err := command.ParseClose(body, at, s.settings.Load().maxBodyBytes)
	if err != nil {
		return answerUnparsed(ctx, err)
	}
	wait := &hubContext{Context: s.ctx, limit: s.cfg.hubTimeout}
	defer wait.release()
	report, err := s.cfg.Hub.Close(wait, cmd.Targets, cmd.Code, cmd.Reason)
	switch {
	case err != nil:
		return s.answerFault(ctx, err, "the connections are being closed, but not every event loop has done so in time")
	case !cmd.Report:
		return answerSuccess(ctx)
	}
	return answerData(ctx, append(appendMatched(report.Matched), '}'))
}

// answerUnparsed answers a command of which nothing came.
func answerUnparsed(ctx *fasthttp.RequestCtx, err error) outcome {
	switch err {
	case budget.ErrFull:
		ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, "1")
		return answerRefusal(ctx, refusal{fasthttp.StatusServiceUnavailable, err.Error()}, false)
	case command.ErrNames:
		return answerRefusal(ctx, refusal{fasthttp.StatusRequestEntityTooLarge, err.Error()}, false)
	}
	return answerInvalid(ctx, fasthttp.StatusBadRequest, err.Error())
}

// appendMatched begins the answer that says how many connections were meant.
func appendMatched(n int) []byte {
	body := append(newData(80), `{"matched":`...)
	return strconv.AppendInt(body, int64(n), 10)
}

func answerReport(ctx *fasthttp.RequestCtx, r hub.Report) outcome {
	body := appendMatched(r.Matched)
	body = append(body, `,"queued":`...)
	body = strconv.AppendInt(body, int64(r.Queued), 10)
	body = append(body, `,"slow":`...)
	body = strconv.AppendInt(body, int64(r.Slow), 10)
	return answerData(ctx, append(body, '}'))
}

func answerStopped(ctx *fasthttp.RequestCtx) outcome {
	return answerRefusal(ctx, refusal{fasthttp.StatusServiceUnavailable, "the gateway is shutting down"}, false)
}

// answerFault answers a command that the hub could not finish; late is what to
// say when only time ran out.
func (s *Server) answerFault(ctx *fasthttp.RequestCtx, err error, late string) outcome {
	switch {
	case errors.Is(err, hub.ErrStopped), errors.Is(err, context.Canceled):
		return answerStopped(ctx)
	case errors.Is(err, context.DeadlineExceeded):
		return answerInvalid(ctx, fasthttp.StatusGatewayTimeout, late)
	}
	s.cfg.Log.Error().Err(err).Msg("the hub refused a command")
	return answerRefusal(ctx, refusal{fasthttp.StatusInternalServerError, "internal error"}, false)
}
