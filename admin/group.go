package admin

import (
	"context"
	"errors"

	"github.com/valyala/fasthttp"

	"ws-gateway/admin/budget"
	"ws-gateway/admin/command"
	"ws-gateway/cluster"
	"ws-gateway/hub"
	"ws-gateway/hub/groups"
)

// join makes connections members of groups, and answers when every loop has done it.
func (s *Server) join(ctx *fasthttp.RequestCtx, body []byte, mem *budget.Reservation) outcome {
	return s.regroup(ctx, body, mem, cluster.Connections.Join)
}

// leave takes connections out of groups.
func (s *Server) leave(ctx *fasthttp.RequestCtx, body []byte, mem *budget.Reservation) outcome {
	return s.regroup(ctx, body, mem, cluster.Connections.Leave)
}

func (s *Server) regroup(ctx *fasthttp.RequestCtx, body []byte, mem *budget.Reservation,
	do func(cluster.Connections, context.Context, hub.Targets, []string) (matched int, err error),
) outcome {
	defer mem.Release()
	cmd, err := command.ParseMembership(body, mem, s.settings.Load().maxBodyBytes)
	if err != nil {
		return answerUnparsed(ctx, err)
	}
	wait := s.hubWait()
	defer wait.release()
	matched, err := do(s.connections(cmd.Local), wait, cmd.Targets, cmd.Groups)
	switch lost := missing(err); {
	case lost != nil:
		return answerPartly(ctx, lost, append(appendMatched(matched), '}'))
	case err == nil:
		return answerData(ctx, append(appendMatched(matched), '}'))
	case errors.As(err, new(*hub.GroupLimitError)):
		return answerInvalid(ctx, fasthttp.StatusBadRequest, err.Error())
	case errors.Is(err, hub.ErrGroupMemory):
		ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, "1")
		return answerRefusal(ctx, refusal{fasthttp.StatusServiceUnavailable, "there is no memory for more memberships of groups: leave groups that are not used any more, or raise --group-memory"}, false)
	}
	return s.answerFault(ctx, err, "not every event loop has answered in time: some of the connections may have joined or left, others not")
}

// groups streams the groups and how many connections are in each.
func (s *Server) groups(ctx *fasthttp.RequestCtx, t target) outcome {
	q, in, err := s.parseGroupQuery(t.query)
	if err != nil {
		return answerInvalid(ctx, fasthttp.StatusBadRequest, err.Error())
	}
	mem := s.memory.lists.Reserve()
	if q.Users != nil {
		wait := s.hubWait()
		defer wait.release()
		n, err := s.cfg.Hub.MembershipsOf(wait, q.Users)
		if err == nil && !mem.Grow(int64(n)*listedGroup) {
			err = budget.ErrFull
		}
		if err != nil {
			mem.Release()
			return s.answerUnread(ctx, err)
		}
	}
	return s.stream(ctx, t, mem, q.Limit > 0, func(out *listWriter) (string, error) {
		wait := s.hubWait()
		defer wait.release()
		return s.readable(in).ListGroups(wait, q, func(page []hub.Group) error {
			err := out.groups(page)
			wait.renew() // the reader may have taken its time
			return err
		})
	})
}

var (
	errNoConn      = errors.New("conn_id is missing")
	errConnAndUser = errors.New("conn_id and user select groups differently: give one of them")
)

func (s *Server) parseGroupQuery(query []byte) (q hub.GroupQuery, in scope, err error) {
	args := fasthttp.AcquireArgs()
	defer fasthttp.ReleaseArgs(args)
	args.ParseBytes(query)
	q.Conn = string(args.Peek("conn_id"))
	for _, user := range args.PeekMulti("user") {
		q.Users = append(q.Users, string(user))
	}
	if args.Has("conn_id") && q.Conn == "" {
		return q, in, errNoConn
	}
	if q.Conn != "" && q.Users != nil {
		return q, in, errConnAndUser
	}
	q.Cursor = string(args.Peek("cursor"))
	if q.Limit, err = limitIn(args); err != nil {
		return q, in, err
	}
	in, err = s.scopeIn(args)
	return q, in, err
}

// groupsIn returns the groups that a query names, nil if it names none.
func groupsIn(args *fasthttp.Args) (names []string, err error) {
	for _, group := range args.PeekMulti("group") {
		name := string(group)
		if err := groups.CheckName(name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

// The memory for what is listed or counted, in bytes: for each group of some users, or
// each member of groups, 8 as often as they are copied while they are put together; to
// count members their users, too. A single connection's groups fit into listMemory.
const (
	listedGroup   = 3 * 8
	listedMember  = 3 * 8
	countedMember = listedMember + 96
)

// growForMembers reserves memory for the members of groups.
func (s *Server) growForMembers(ctx context.Context, mem *budget.Reservation, groups []string, bytesForEach int64) error {
	members, err := s.cfg.Hub.GroupSizes(ctx, groups)
	if err != nil {
		return err
	}
	if !mem.Grow(int64(members) * bytesForEach) {
		return budget.ErrFull
	}
	return nil
}

// notAnswered is what to say if loops were asked and time ran out.
const notAnswered = "not every event loop has answered in time"

// answerUnread answers a request for what the loops could not tell.
func (s *Server) answerUnread(ctx *fasthttp.RequestCtx, err error) outcome {
	if errors.Is(err, budget.ErrFull) {
		return answerUnparsed(ctx, err)
	}
	return s.answerFault(ctx, err, notAnswered)
}
