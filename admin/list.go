package admin

import (
	"bytes"
	"errors"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"ws-gateway/admin/budget"
	"ws-gateway/admin/command"
	"ws-gateway/hub"
)

// maxLimit is how many connections, or groups, one page may have.
const maxLimit = 100_000

// list streams the connections, grouped by user.
func (s *Server) list(ctx *fasthttp.RequestCtx, t target) outcome {
	q, groups, in, err := s.parseQuery(t.query)
	if err != nil {
		return answerInvalid(ctx, fasthttp.StatusBadRequest, err.Error())
	}
	mem := s.memory.lists.Reserve()
	if groups != nil {
		wait := s.hubWait()
		defer wait.release()
		if err := s.growForMembers(wait, mem, groups, listedMember); err != nil {
			mem.Release()
			return s.answerUnread(ctx, err)
		}
	}
	return s.stream(ctx, t, mem, q.Limit > 0, func(out *listWriter) (string, error) {
		wait := s.hubWait()
		defer wait.release()
		return s.readable(in).ListMembers(wait, groups, q, out.conns)
	})
}

// stream answers with a list that walk writes. It releases mem.
func (s *Server) stream(ctx *fasthttp.RequestCtx, t target, mem *budget.Reservation, paged bool, walk func(out *listWriter) (next string, err error)) outcome {
	if !mem.Grow(listMemory) {
		mem.Release()
		return answerUnparsed(ctx, budget.ErrFull)
	}
	setHead(ctx, jsonType)
	began := time.Now()
	stream := &listStream{
		walk: walk,
		done: func(result outcome, err error) {
			s.done(t.route, result, began)
			if err != nil {
				s.cfg.Log.Debug().Err(err).Msg("a list was cut short")
			}
		},
		panicked: func(p any) { logPanic(&s.cfg.Log, t.route, p) },
		paged:    paged,
		mem:      mem,
	}
	if ctx.Request.Header.IsHTTP11() {
		ctx.Response.SetBodyStream(stream, -1) // and fasthttp closes it, written or not
	} else if !wholeList(ctx, stream) {
		answerUnparsed(ctx, budget.ErrFull)
		return streamed // it has been counted
	}
	if ctx.IsHead() {
		return served // the stream is never written
	}
	return streamed
}

// listMemory is the memory of a list while it is written: the stream's buffer, the
// connections of a step, and the buffers of fasthttp and the connection's goroutine.
const listMemory = 128 << 10

// wholeList sets a list as the answer to an HTTP/1.0 request. That version has no chunked
// encoding, so the list is kept whole. It reports false if there is no memory for it.
func wholeList(ctx *fasthttp.RequestCtx, stream *listStream) bool {
	kept := &keptList{mem: stream.mem}
	if _, err := stream.WriteTo(kept); errors.Is(err, budget.ErrFull) {
		kept.Close()
		return false
	}
	ctx.Response.SetBodyStream(kept, kept.Len())
	return true
}

// keptList is a whole list. It holds its memory until it is sent.
type keptList struct {
	bytes.Buffer
	mem *budget.Reservation
}

func (k *keptList) Write(b []byte) (int, error) {
	if more := len(b) + k.Len() - k.Cap(); more > 0 && !k.mem.Grow(int64(k.Len()+more)) { // the buffer at most doubles
		return 0, budget.ErrFull
	}
	return k.Buffer.Write(b)
}

// Close is called by fasthttp once the answer is out.
func (k *keptList) Close() error {
	k.mem.Release()
	k.mem = nil
	return nil
}

var (
	errLimit     = errors.New("limit must be a number from 1 to 100000")
	errOlderThan = errors.New("older_than must be a time such as 90s, 15m or 1h30m")
)

// parseQuery reads which connections a list is to have, or a count to be about. If there are groups only those
// count that are in one of them.
func (s *Server) parseQuery(query []byte) (q hub.Query, groups []string, in scope, err error) {
	args := fasthttp.AcquireArgs()
	defer fasthttp.ReleaseArgs(args)
	args.ParseBytes(query)
	for _, user := range args.PeekMulti("user") {
		q.Users = append(q.Users, string(user))
	}
	if q.Limit, err = limitIn(args); err != nil {
		return hub.Query{}, nil, scope{}, err
	}
	q.UserPrefix = string(args.Peek("user_prefix"))
	if args.Has("remote") {
		if q.Remote, q.RemotePort, err = command.ParseRemote(string(args.Peek("remote"))); err != nil {
			return hub.Query{}, nil, scope{}, err
		}
	}
	if args.Has("older_than") {
		if q.OlderThan, err = time.ParseDuration(string(args.Peek("older_than"))); err != nil || q.OlderThan < 0 {
			return hub.Query{}, nil, scope{}, errOlderThan
		}
	}
	q.Cursor = string(args.Peek("cursor"))
	if groups, err = groupsIn(args); err != nil {
		return hub.Query{}, nil, scope{}, err
	}
	in, err = s.scopeIn(args)
	return q, groups, in, err
}

// limitIn reads how much a page may have; 0: no page is asked for.
func limitIn(args *fasthttp.Args) (int, error) {
	if !args.Has("limit") {
		return 0, nil
	}
	n, err := strconv.ParseUint(string(args.Peek("limit")), 10, 32)
	if err != nil || n == 0 || n > maxLimit {
		return 0, errLimit
	}
	return int(n), nil
}
