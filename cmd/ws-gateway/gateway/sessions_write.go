package gateway

import (
	"context"
	"time"

	"ws-gateway/cmd/ws-gateway/internal/statefile"
	"ws-gateway/forward"
	"ws-gateway/handover/record"
	"ws-gateway/netpoll"
)

// keeps reports whether sessions are to be written down at the end.
func (g *Gateway) keeps() bool { return g.sessions != nil && g.config().ResumeFor > 0 }

// returns is for how long other gateways should have clients wait for the next start, which
// takes in the sessions of this one: 0 if it does not end, or has written none down.
func (g *Gateway) returns() time.Duration {
	if !g.hub.Draining() || !g.keeps() || g.keptNone.Load() {
		return 0
	}
	return g.config().ResumeFor
}

// writeSessions writes down the sessions that are away, and their events, of which none is
// delivered meanwhile. They end for this process if that works. Otherwise they are as before.
func (g *Gateway) writeSessions(ctx context.Context, events *forward.Held) (n int, err error) {
	w := &sessionWriter{g: g, events: events}
	if err := w.begin(ctx); err != nil {
		return 0, err
	}
	n, err = g.sockets.Suspend(ctx, w)
	if err != nil {
		w.abandon()
	}
	return n, err
}

// sessionWriter is a netpoll.Recorder.
type sessionWriter struct {
	g       *Gateway
	out     *statefile.Writer
	sum     *record.Writer
	events  *forward.Held // nil: push only
	buf     []byte        // records to be written
	records int           // in buf
	session record.Fields
	beside  record.Fields // hub's and forward's parts of it
	hung    bool          // a write does not return
}

// maxBuffered is how much is buffered before it is written, unless a single record is
// larger.
const maxBuffered = 256 << 10

func (w *sessionWriter) add(kind record.Tag, f record.Fields) {
	w.buf = record.AppendRecord(w.buf, kind, f)
	w.records++
}

func (w *sessionWriter) begin(ctx context.Context) error {
	err := w.disk(ctx, func() (err error) {
		w.out, err = w.g.sessions.file.Create()
		return err
	})
	if err != nil {
		return err
	}
	var head []byte
	w.sum, head = record.NewWriter()
	if err := w.write(ctx, head); err != nil {
		w.abandon()
		return err
	}
	w.buf = w.g.sessions.appendHead(w.buf, time.Now())
	process := record.Append(nil, tagHub, w.g.hub.Record())
	w.records = 1
	process = record.Append(process, tagEpoch, w.g.sessions.epoch)
	if w.g.takeover != nil {
		process = appendPlace(process, w.g.takeover.Place())
	}
	w.add(kindProcess, process)
	return nil
}

// disk does something that may take as long as a disk does. If ctx ends first nobody waits
// for it, and nothing more is done.
func (w *sessionWriter) disk(ctx context.Context, do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		w.hung = true
		return ctx.Err()
	}
}

func (w *sessionWriter) write(ctx context.Context, b []byte) error {
	return w.disk(ctx, func() error {
		_, err := w.out.Write(b)
		return err
	})
}

// abandon removes what was written, unless it still is being written.
func (w *sessionWriter) abandon() {
	if !w.hung {
		w.out.Abandon()
	}
}

// Frame is netpoll.Recorder's.
func (w *sessionWriter) Frame(f record.Fields) { w.add(kindFrame, f) }

// Connection is netpoll.Recorder's.
func (w *sessionWriter) Connection(c *netpoll.Conn, f record.Fields) (full bool) {
	w.session = record.Append(w.session[:0], tagConnection, f)
	w.beside = w.g.hub.AppendSession(w.beside[:0], c)
	w.session = record.Append(w.session, tagSession, w.beside)
	events := 0
	if w.beside, events = w.events.Append(w.beside[:0], uint64(c.ID())); events > 0 {
		w.session = record.Append(w.session, tagEvents, w.beside)
	}
	w.add(kindSession, w.session)
	return len(w.buf) >= maxBuffered
}

// Farewell is netpoll.Recorder's.
func (w *sessionWriter) Farewell(f record.Fields) { w.add(kindFarewell, f) }

// Gone is netpoll.Recorder's.
func (w *sessionWriter) Gone(c *netpoll.Conn) { w.g.hub.Suspended(c) }

// Flush is netpoll.Recorder's.
func (w *sessionWriter) Flush(ctx context.Context) error {
	if err := w.write(ctx, w.buf); err != nil {
		return err
	}
	w.sum.Wrote(w.buf, w.records)
	w.buf, w.records = w.buf[:0], 0
	return nil
}

// Commit is netpoll.Recorder's. Until the file is renamed it can be given up.
func (w *sessionWriter) Commit(ctx context.Context, server record.Fields) error {
	w.add(kindServer, server)
	if err := w.Flush(ctx); err != nil {
		return err
	}
	if err := w.write(ctx, w.sum.End()); err != nil {
		return err
	}
	if err := w.disk(ctx, w.out.Sync); err != nil {
		return err
	}
	return w.out.Commit()
}
