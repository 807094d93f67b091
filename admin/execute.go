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
	mem := s.memory.commands.Reserve()
	body, no := readBody(ctx, s.settings.Load().maxBodyBytes, mem)
	if no.Status != 0 {
		mem.Release()
		return answerRefusal(ctx, no, false)
	}
	connOf(ctx).MaySendLater()
	return r.command(s, ctx, body, mem)
}

// send gives one frame, built once, to the targets' loops, which release its memory when
// they have sent it.
func (s *Server) send(ctx *fasthttp.RequestCtx, body []byte, mem *budget.Reservation) outcome {
	cmd, err := command.ParseSend(body, mem, s.settings.Load().maxBodyBytes)
	if err != nil {
		mem.Release()
		return answerUnparsed(ctx, err)
	}
	frame := netpoll.NewFrame(cmd.Op, cmd.Payload)
	mem.Keep(int64(frame.Len()))
	wait := s.hubWait()
	defer wait.release()
	trace := traceOf(ctx)
	report, err := s.connections(cmd.Local).SendThen(traced(wait, trace), cmd.Targets, frame, cmd.Report, mem)
	lost := missing(err)
	if trace != "" {
		line := s.cfg.Log.Debug().Str("traceparent", trace).Int("bytes", len(cmd.Payload)).Err(err)
		if cmd.Report {
			line = line.Int("matched", report.Matched).Int("queued", report.Queued)
		}
		line.Msg("a send of the app")
	}
	switch {
	case lost != nil && !cmd.Report:
		return answerPartly(ctx, lost, nil)
	case lost != nil:
		return answerPartly(ctx, lost, appendReport(report))
	case err != nil && !cmd.Report:
		return s.answerFault(ctx, err, "an event loop that has targets did not take the message in time; others may have")
	case err != nil:
		return s.answerFault(ctx, err, "the message is on its way, but not every event loop has taken it in time")
	case !cmd.Report:
		return answerSuccess(ctx)
	}
	return answerData(ctx, appendReport(report))
}

// close closes the targets, and answers when no list has them any more.
func (s *Server) close(ctx *fasthttp.RequestCtx, body []byte, mem *budget.Reservation) outcome {
	defer mem.Release()
	cmd, err := command.ParseClose(body, mem, s.settings.Load().maxBodyBytes)
	if err != nil {
		return answerUnparsed(ctx, err)
	}
	wait := s.hubWait()
	defer wait.release()
	report, err := s.connections(cmd.Local).Close(wait, cmd.Targets, cmd.Code, cmd.Reason)
	lost := missing(err)
	switch {
	case lost != nil:
		return answerPartly(ctx, lost, append(appendMatched(report.Matched), '}'))
	case err != nil:
		return s.answerFault(ctx, err, "the connections are being closed, but not every event loop has done so in time")
	case !cmd.Report:
		return answerSuccess(ctx)
	}
	return answerData(ctx, append(appendMatched(report.Matched), '}'))
}

// answerUnparsed answers a command that could not be parsed.
func answerUnparsed(ctx *fasthttp.RequestCtx, err error) outcome {
	switch {
	case errors.Is(err, budget.ErrFull):
		ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, "1")
		return answerRefusal(ctx, refusal{fasthttp.StatusServiceUnavailable, err.Error()}, false)
	case errors.Is(err, command.ErrNames):
		return answerRefusal(ctx, refusal{fasthttp.StatusRequestEntityTooLarge, err.Error()}, false)
	}
	return answerInvalid(ctx, fasthttp.StatusBadRequest, err.Error())
}

// appendMatched begins an answer with how many connections were meant.
func appendMatched(n int) []byte {
	body := append(newData(80), `{"matched":`...)
	return strconv.AppendInt(body, int64(n), 10)
}

// appendReport is the data of an answer to a send.
func appendReport(r hub.Report) []byte {
	body := appendMatched(r.Matched)
	body = append(body, `,"queued":`...)
	body = strconv.AppendInt(body, int64(r.Queued), 10)
	body = append(body, `,"slow":`...)
	body = strconv.AppendInt(body, int64(r.Slow), 10)
	if r.Away > 0 {
		body = strconv.AppendInt(append(body, `,"away":`...), int64(r.Away), 10)
	}
	return append(body, '}')
}

func answerStopped(ctx *fasthttp.RequestCtx) outcome {
	return answerRefusal(ctx, refusal{fasthttp.StatusServiceUnavailable, "the gateway is shutting down"}, false)
}

// answerFault answers a command that the hub could not finish; late is what to say if time
// ran out.
func (s *Server) answerFault(ctx *fasthttp.RequestCtx, err error, late string) outcome {
	switch {
	case errors.Is(err, hub.ErrStopped), errors.Is(err, context.Canceled):
		return answerStopped(ctx)
	case errors.Is(err, context.DeadlineExceeded):
		return answerInvalid(ctx, fasthttp.StatusGatewayTimeout, late)
	}
	s.logOf(ctx).Error().Err(err).Msg("the hub refused a command")
	return answerRefusal(ctx, refusal{fasthttp.StatusInternalServerError, "internal error"}, false)
}
