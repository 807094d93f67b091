package cluster

import (
	"cmp"
	"context"
	"encoding/binary"

	"github.com/gobwas/ws"

	"ws-gateway/cluster/call"
	"ws-gateway/cluster/packet"
	"ws-gateway/cluster/stream"
	"ws-gateway/hub"
	"ws-gateway/netpoll"
	"ws-gateway/tracecontext"
)

// The largest pages of answers.
const (
	mostRows   = 500
	mostUsers  = 50_000
	mostGroups = 10_000
)

// execute does what a peer asks for, in order.
func (c *Cluster) execute(p *peer) {
	var messages []stream.Message
	for ok := true; ; {
		if messages, ok = p.executor.take(messages); !ok {
			return
		}
		for i := range messages {
			c.executeOne(p, &messages[i])
		}
	}
}

func (c *Cluster) executeOne(p *peer, m *stream.Message) {
	if m.Kind == call.Watch || m.Kind == call.Unwatch {
		c.watchFor(p, m)
		return
	}
	if (m.Kind < call.Send || m.Kind > call.Groups) && m.Kind != call.SetMeta {
		c.answer(p, m, call.Result{Err: call.ErrUnknown})
		return
	}
	todo, err := call.Read(m.Kind, m.Fields)
	if err != nil {
		c.stats.malformed.Add(1)
		c.answer(p, m, call.Result{Err: err})
		return
	}
	c.stats.executed.Add(1)
	if m.Kind == call.Send {
		if todo.Targets.OpenFor > 0 {
			todo.Targets.OpenFor += m.Age
		}
		c.executeSend(p, m, &todo)
		return
	}
	kind := m.Kind // m is used again for other messages
	c.begin(p, m, func(ctx context.Context) call.Result { return c.do(ctx, kind, &todo) })
}

// begin does a call on a goroutine of its own, and answers it. It waits for one to be
// free. Whatever was to be done before has been handed to the loops, which keep its order.
func (c *Cluster) begin(p *peer, m *stream.Message, do func(ctx context.Context) call.Result) {
	select {
	case c.slots <- struct{}{}:
	case <-c.ctx.Done():
		return
	}
	asked := *m
	c.work.Go(func() {
		defer func() { <-c.slots }()
		ctx, cancel := context.WithTimeout(c.ctx, c.cfg.Timeout)
		defer cancel()
		c.answer(p, &asked, do(ctx))
	})
}

// executeSend hands a message to the loops before it returns, so that the next one comes
// behind it.
func (c *Cluster) executeSend(p *peer, m *stream.Message, todo *call.Call) {
	op := ws.OpText
	if todo.Binary {
		op = ws.OpBinary
	}
	frame := netpoll.NewFrame(op, m.Payload)
	done, err := p.executor.flight.begin(c.ctx, frame.Len())
	if err != nil {
		return
	}
	ctx := c.ctx
	if tracecontext.ValidParent(todo.Trace) {
		ctx = tracecontext.With(ctx, todo.Trace)
	}
	if m.Request == 0 {
		c.hub.SendThen(ctx, todo.Targets, frame, false, done) // fails only if the loops have ended
		return
	}
	reported, err := c.hub.Post(ctx, todo.Targets, frame, done)
	if err != nil {
		c.answer(p, m, call.Result{Err: err})
		return
	}
	c.begin(p, m, func(ctx context.Context) call.Result {
		r, err := reported(ctx)
		return call.Result{Err: err, Matched: r.Matched, Queued: r.Queued, Slow: r.Slow, Away: r.Away}
	})
}

// answer answers a call, if somebody waits for that.
func (c *Cluster) answer(p *peer, m *stream.Message, r call.Result) {
	if m.Request == 0 {
		return
	}
	content := stream.NewContent(r.Append(nil), r.Payload)
	c.mailbox.post(c.ctx, letter{to: &p.id, kind: call.Answer, request: m.Request, content: content, bytes: len(r.Payload)})
}

// do does a call here.
func (c *Cluster) do(ctx context.Context, kind packet.Kind, todo *call.Call) (r call.Result) {
	switch kind {
	case call.Close:
		var report hub.Report
		report, r.Err = c.hub.Close(ctx, todo.Targets, todo.Code, todo.Reason)
		r.Matched = report.Matched
	case call.Join:
		r.Matched, r.Err = c.hub.Join(ctx, todo.Targets, todo.Names)
	case call.Leave:
		r.Matched, r.Err = c.hub.Leave(ctx, todo.Targets, todo.Names)
	case call.SetMeta:
		r.Matched, r.Err = c.setMetaHere(ctx, todo)
	case call.List:
		todo.Query.Limit = page(todo.Query.Limit, mostRows)
		r.Cursor, r.Err = c.hub.ListMembers(ctx, todo.Names, todo.Query, func(_ string, conns []hub.Info) error {
			for i := range conns {
				r.Payload = call.AppendRow(r.Payload, &conns[i])
			}
			return ctx.Err()
		})
	case call.Count:
		todo.Query.Limit = page(todo.Query.Limit, mostUsers)
		r = c.usersHere(ctx, todo)
	case call.Groups:
		todo.Groups.Limit = page(todo.Groups.Limit, mostGroups)
		r.Cursor, r.Err = c.hub.ListGroups(ctx, todo.Groups, func(page []hub.Group) error {
			for i := range page {
				r.Payload = call.AppendGroup(r.Payload, &page[i])
			}
			return ctx.Err()
		})
	case call.Describe:
		r = c.describeHere(ctx, todo.Targets.Conn)
	}
	return r
}

// setMetaHere reads the metadata again: what is too long here need not be so elsewhere.
func (c *Cluster) setMetaHere(ctx context.Context, todo *call.Call) (matched int, err error) {
	value, err := c.hub.ParseMeta(cmp.Or(todo.Meta, "null"))
	if err != nil {
		return 0, err
	}
	return c.hub.SetMeta(ctx, todo.Targets, value)
}

// page is how long a page is of which so much was asked for.
func page(asked, most int) int {
	if asked <= 0 {
		return most
	}
	return min(asked, most)
}

// usersHere answers with the hashes of the users of a page of connections.
func (c *Cluster) usersHere(ctx context.Context, todo *call.Call) (r call.Result) {
	r.Cursor, r.Err = c.hub.ListMembers(ctx, todo.Names, todo.Query, func(user string, conns []hub.Info) error {
		r.Connections += len(conns)
		r.Payload = binary.BigEndian.AppendUint64(r.Payload, uint64(c.key.User(user)))
		return ctx.Err()
	})
	return r
}

// describeHere answers with a connection; Matched is 0 if there is no such connection.
func (c *Cluster) describeHere(ctx context.Context, id string) (r call.Result) {
	info, groups, ok, err := c.hub.Describe(ctx, id)
	if r.Err = err; err != nil || !ok {
		return r
	}
	r.Matched = 1
	r.Payload = call.AppendRow(nil, &info)
	for _, name := range groups {
		r.Payload = call.AppendName(r.Payload, name)
	}
	return r
}
