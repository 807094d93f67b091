package admin

import (
	"runtime"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"ws-gateway/cluster"
	"ws-gateway/forward"
)

// status answers with what the gateway knows about itself and the app, except for numbers
// to plot: those are in /metrics.
func (s *Server) status(ctx *fasthttp.RequestCtx, _ target) outcome {
	connections, users := s.cfg.Hub.Count()
	ready, why := s.cfg.Ready()
	b := append(newData(4<<10), `{"time":`...)
	b = appendTime(b, time.Now())
	b = append(b, `,"started":`...)
	b = appendTime(b, s.started)
	b = append(b, `,"version":`...)
	b = appendString(b, s.cfg.Version)
	b = append(b, `,"go":`...)
	b = appendString(b, runtime.Version())
	b = append(b, `,"ready":`...)
	b = strconv.AppendBool(b, ready)
	b = append(b, `,"why":`...)
	b = appendString(b, why)
	b = append(b, `,"connections":`...)
	b = strconv.AppendInt(b, int64(connections), 10)
	b = append(b, `,"users":`...)
	b = strconv.AppendInt(b, int64(users), 10)
	if c := s.cfg.Instances; c != nil {
		b = append(b, `,"cluster":`...)
		b = appendCluster(b, c)
	}
	if s.cfg.LastReload != nil {
		if r, ok := s.cfg.LastReload(); ok {
			b = append(b, `,"reload":`...)
			b = appendReload(b, &r)
		}
	}
	if s.cfg.Health != nil {
		h := s.cfg.Health()
		b = append(b, `,"app":`...)
		b = appendHealth(b, &h)
	}
	return answerData(ctx, append(b, '}'))
}

// appendCluster appends the instances of a cluster. "linked" says whether they are
// reached; lag is in milliseconds.
func appendCluster(b []byte, c *cluster.Cluster) []byte {
	b = append(b, `{"app":`...)
	b = appendString(b, c.App())
	b = append(b, `,"linked":`...)
	b = strconv.AppendBool(b, c.Up())
	b = append(b, `,"instances":[`...)
	for n, i := range c.Instances() {
		if n > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"id":`...)
		b = appendString(b, i.ID.String())
		b = append(b, `,"name":`...)
		b = appendString(b, i.Name)
		b = append(b, `,"version":`...)
		b = appendString(b, i.Version)
		b = append(b, `,"self":`...)
		b = strconv.AppendBool(b, i.Self)
		b = append(b, `,"silent":`...)
		b = strconv.AppendBool(b, i.Silent)
		b = append(b, `,"draining":`...)
		b = strconv.AppendBool(b, i.Draining)
		b = append(b, `,"started":`...)
		b = appendTime(b, i.Started)
		b = append(b, `,"connections":`...)
		b = strconv.AppendUint(b, i.Connections, 10)
		b = append(b, `,"users":`...)
		b = strconv.AppendUint(b, i.Users, 10)
		b = append(b, `,"loops":`...)
		b = strconv.AppendInt(b, int64(i.Loops), 10)
		b = append(b, `,"lag_ms":`...)
		b = strconv.AppendInt(b, i.Lag.Milliseconds(), 10)
		b = append(b, '}')
	}
	return append(b, "]}"...)
}

func appendHealth(b []byte, h *forward.Health) []byte {
	b = append(b, `{"url":`...)
	b = appendString(b, h.App)
	b = append(b, `,"down":`...)
	b = strconv.AppendBool(b, h.Down)
	if !h.Since.IsZero() {
		b = append(b, `,"since":`...)
		b = appendTime(b, h.Since)
	}
	b = append(b, `,"trouble":`...)
	b = appendTrouble(b, h.Trouble)
	b = append(b, `,"failures":[`...)
	for i := range h.Failures {
		f := &h.Failures[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"time":`...)
		b = appendTime(b, f.Time)
		b = append(b, `,"action":`...)
		b = appendString(b, f.Action)
		b = append(b, `,"request_id":`...)
		b = appendString(b, f.RequestID)
		b = append(b, `,"attempts":`...)
		b = strconv.AppendInt(b, int64(f.Attempts), 10)
		b = append(b, `,"status":`...)
		b = strconv.AppendInt(b, int64(f.Status), 10)
		b = append(b, `,"reason":`...)
		b = appendString(b, f.Reason.String())
		b = append(b, '}')
	}
	return append(b, "]}"...)
}

func appendReload(b []byte, r *LastReload) []byte {
	b = append(b, `{"time":`...)
	b = appendTime(b, r.Time)
	b = append(b, `,"ok":`...)
	b = strconv.AppendBool(b, r.Error == "")
	b = append(b, `,"error":`...)
	b = appendString(b, r.Error)
	b = append(b, `,"needs_restart":[`...)
	for i, option := range r.NeedRestart {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, option)
	}
	return append(b, "]}"...)
}

func appendTrouble(b []byte, t *forward.Trouble) []byte {
	if t == nil {
		return append(b, "null"...)
	}
	b = append(b, `{"since":`...)
	b = appendTime(b, t.Since)
	b = append(b, `,"kind":`...)
	b = appendString(b, t.Kind)
	b = append(b, `,"message":`...)
	b = appendString(b, t.Text)
	b = append(b, `,"fix":`...)
	b = appendString(b, t.Fix)
	b = append(b, `,"answers":{`...)
	for i, a := range t.Answers {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, a.Label)
		b = append(b, ':')
		b = strconv.AppendUint(b, a.Count, 10)
	}
	b = append(b, `},"waiting":`...)
	b = strconv.AppendInt(b, int64(t.Waiting), 10)
	b = append(b, `,"given_up":`...)
	b = strconv.AppendUint(b, t.GivenUp, 10)
	return append(b, '}')
}

// config answers with the configuration in force, with its secrets masked.
func (s *Server) config(ctx *fasthttp.RequestCtx, _ target) outcome {
	if s.cfg.Configuration == nil {
		return answerInvalid(ctx, fasthttp.StatusNotFound, "the configuration is not known here")
	}
	return answerData(ctx, appendString(newData(8<<10), s.cfg.Configuration()))
}

func appendTime(b []byte, t time.Time) []byte {
	b = append(b, '"')
	b = t.UTC().AppendFormat(b, timeLayout)
	return append(b, '"')
}
