package cluster

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/gobwas/ws"

	"ws-gateway/cluster/call"
	"ws-gateway/cluster/packet"
	"ws-gateway/cluster/stream"
	"ws-gateway/hub"
	"ws-gateway/hub/meta"
	"ws-gateway/netpoll"
	"ws-gateway/tracecontext"
)

// SendThen is hub.Hub.SendThen for the connections of all instances. Without wait it
// returns when the message is in the queues of all of them.
func (c *Cluster) SendThen(ctx context.Context, t hub.Targets, frame *netpoll.Frame, wait bool, done hub.Releaser) (hub.Report, error) {
	to := c.route(&t)
	if err := c.refusal(&to); err != nil {
		if done != nil {
			done.Release()
		}
		return hub.Report{}, err
	}
	op, payload := frame.Payload()
	todo := call.Call{Targets: t, Binary: op == ws.OpBinary, Trace: tracecontext.From(ctx)}
	p, err := c.post(ctx, &to, call.Send, &todo, payload, wait)
	if err != nil {
		if done != nil {
			done.Release()
		}
		return hub.Report{}, err
	}
	report, err := c.hub.SendThen(ctx, t, frame, wait, done)
	if !wait {
		return report, cmp.Or(err, missing(to.missing, false))
	}
	all, lost := c.collect(ctx, &to, p)
	return hub.Report{Matched: report.Matched + all.Matched, Queued: report.Queued + all.Queued, Slow: report.Slow + all.Slow, Away: report.Away + all.Away}, cmp.Or(err, lost)
}

// Close is hub.Hub.Close for the connections of all instances.
func (c *Cluster) Close(ctx context.Context, t hub.Targets, code ws.StatusCode, reason string) (hub.Report, error) {
	to := c.route(&t)
	if err := c.refusal(&to); err != nil {
		return hub.Report{}, err
	}
	p, err := c.post(ctx, &to, call.Close, &call.Call{Targets: t, Code: code, Reason: reason}, nil, true)
	if err != nil {
		return hub.Report{}, err
	}
	report, err := c.hub.Close(ctx, t, code, reason)
	all, lost := c.collect(ctx, &to, p)
	return hub.Report{Matched: report.Matched + all.Matched}, cmp.Or(err, lost)
}

// Join is hub.Hub.Join for the connections of all instances. Each instance does it for
// all of its targets or for none: after an error some may have done it.
func (c *Cluster) Join(ctx context.Context, t hub.Targets, groups []string) (matched int, err error) {
	return c.regroup(ctx, call.Join, t, groups, c.hub.Join)
}

// Leave is hub.Hub.Leave for the connections of all instances.
func (c *Cluster) Leave(ctx context.Context, t hub.Targets, groups []string) (matched int, err error) {
	return c.regroup(ctx, call.Leave, t, groups, c.hub.Leave)
}

// SetMeta is hub.Hub.SetMeta for the connections of all instances. Each instance does it
// for all of its targets or for none: after an error some may have done it.
func (c *Cluster) SetMeta(ctx context.Context, t hub.Targets, v *meta.Value) (matched int, err error) {
	return c.change(ctx, call.SetMeta, t, call.Call{Meta: v.JSON()},
		func() (int, error) { return c.hub.SetMeta(ctx, t, v) })
}

func (c *Cluster) regroup(ctx context.Context, kind packet.Kind, t hub.Targets, groups []string,
	here func(context.Context, hub.Targets, []string) (int, error),
) (matched int, err error) {
	return c.change(ctx, kind, t, call.Call{Names: groups},
		func() (int, error) { return here(ctx, t, groups) })
}

// change does something here and, unless that is refused, at the others.
func (c *Cluster) change(ctx context.Context, kind packet.Kind, t hub.Targets, todo call.Call, here func() (int, error)) (matched int, err error) {
	to := c.route(&t)
	if err := c.refusal(&to); err != nil {
		return 0, err
	}
	todo.Targets = t
	todo.Targets.Users = slices.Clone(t.Users) // the hub changes their order
	if matched, err = here(); err != nil {
		return 0, err // most likely the others would refuse it, too
	}
	p, err := c.post(ctx, &to, kind, &todo, nil, true)
	if err != nil {
		return matched, err
	}
	all, lost := c.collect(ctx, &to, p)
	return matched + all.Matched, lost
}

// Describe is hub.Hub.Describe for a connection of any instance.
func (c *Cluster) Describe(ctx context.Context, id string) (info hub.Info, groups []string, ok bool, err error) {
	owner, known := hub.InstanceOf(id)
	if !known || owner == c.cfg.Makes {
		return c.hub.Describe(ctx, id)
	}
	to := c.route(&hub.Targets{Conn: id})
	if len(to.missing) > 0 || !to.others {
		return hub.Info{}, nil, false, missing(to.missing, false)
	}
	p, err := c.post(ctx, &to, call.Describe, &call.Call{Targets: hub.Targets{Conn: id}}, nil, true)
	if err != nil {
		return hub.Info{}, nil, false, err
	}
	r, err := c.collect(ctx, &to, p)
	if err != nil || r.Matched == 0 {
		return hub.Info{}, nil, false, err
	}
	read := call.NewRows(r.Payload)
	info = read.Row()
	for read.More() {
		groups = append(groups, read.Name())
	}
	return info, groups, read.Err() == nil, read.Err()
}

// route is whom a call goes to, and who should get it and cannot.
type route struct {
	others   bool              // it goes to others at all
	instance *packet.Instance  // only to this one
	owners   []packet.Instance // instead: only to these, each of which has some of the connections; nil: to all
	missing  []string
	unasked  []string // of missing, those that the router knows nothing of, or not that they are meant: so they are held for nobody
	homes    homes    // of owners
}

// route finds out whom a call for t goes to. All instances is always right; connections
// that are named are at those that have made their ids. If nobody is known to have made one,
// somebody may have whom nobody has heard, as long as anybody is missing.
func (c *Cluster) route(t *hub.Targets) route {
	v := c.view.Load()
	if t.All || t.Remote.IsValid() || len(t.Groups) > 0 || len(t.Users) > 0 && !(t.Owned && (t.Conn != "" || len(t.Conns) > 0)) {
		r := route{others: len(v.live)+len(v.silent) > 0, missing: v.missing}
		if slices.Contains(v.missing, Unknown) {
			r.unasked = []string{Unknown}
		}
		r.unasked = slices.AppendSeq(r.unasked, maps.Values(v.away))
		return r
	}
	r, nobody := route{homes: v.homes}, false
	for i := -1; i < len(t.Conns); i++ {
		id := t.Conn
		if i >= 0 {
			id = t.Conns[i]
		}
		owner, ok := hub.InstanceOf(id)
		if !ok || owner == c.cfg.Makes {
			continue // nobody has it, or nobody but us
		}
		if name, away := v.away[owner]; away {
			r.missing, r.unasked = append(r.missing, name), append(r.unasked, name)
			continue
		}
		if owner = v.homes.of(owner); slices.Contains(r.owners, owner) {
			continue
		}
		if !v.has(owner) {
			nobody = true
			continue
		}
		r.owners = append(r.owners, owner)
		if name, silent := v.silent[owner]; silent {
			r.missing = append(r.missing, name)
		}
	}
	if nobody && v.unsure {
		r.missing, r.unasked = append(r.missing, Unknown), append(r.unasked, Unknown)
	}
	if r.others = len(r.owners) > 0; len(r.owners) == 1 {
		r.instance, r.owners = (*packet.Instance)(&r.owners[0]), nil
	}
	return r
}

// refusal is the error for a call that does nothing because it would not reach everybody.
func (c *Cluster) refusal(to *route) error {
	if err := missing(to.missing, false); c.cfg.Refuse && err != nil {
		return &MissingError{Names: slices.Compact(slices.Sorted(slices.Values(to.missing))), Refused: true}
	}
	return nil
}

// post posts a call to the router. answers says that somebody waits for them.
func (c *Cluster) post(ctx context.Context, to *route, kind packet.Kind, todo *call.Call, payload []byte, answers bool) (*pending, error) {
	if !to.others {
		return nil, nil
	}
	fields := todo.Append(nil, kind)
	l := letter{to: to.instance, kind: kind, content: stream.NewContent(fields, payload), bytes: len(fields) + len(payload)}
	if answers {
		l.call = newPending()
	}
	if len(to.owners) > 0 {
		l.shares, l.bytes = sharesOf(to.owners, to.homes, l.content)
	}
	if l.changes() {
		l.names, l.at = c.addressees(&todo.Targets, fields), c.cfg.clock()
		l.bytes += l.names.memory()
	}
	return l.call, c.mailbox.post(ctx, l)
}

// collect waits for the answers to a call that has been posted, and adds them up.
func (c *Cluster) collect(ctx context.Context, to *route, p *pending) (sum call.Result, err error) {
	if p == nil {
		return sum, missing(to.missing, false)
	}
	limited, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	answers, lost := c.wait(limited, p)
	lost.names = append(lost.names, to.unasked...)
	for _, a := range answers {
		if failed := a.Err; failed != nil {
			if refused(failed) {
				err = failed
			} else {
				lost.add(a.name)
			}
			continue
		}
		sum.Matched += a.Matched
		sum.Queued += a.Queued
		sum.Slow += a.Slow
		sum.Away += a.Away
		sum.Connections += a.Connections
		sum.Payload, sum.Cursor = a.Payload, a.Cursor
	}
	return sum, cmp.Or(err, lost.err())
}

// refused reports whether an instance has refused a call, and would again. Otherwise it
// could not do it, or not in time.
func refused(err error) bool {
	return errors.Is(err, hub.ErrGroupMemory) || errors.Is(err, hub.ErrCursor) || errors.As(err, new(*hub.GroupLimitError)) ||
		errors.Is(err, hub.ErrNoMeta) || errors.Is(err, hub.ErrMetaMemory) || errors.As(err, new(*hub.MetaLimitError))
}
