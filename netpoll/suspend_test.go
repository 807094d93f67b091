package netpoll

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"ws-gateway/handover/record"
)

// notes is a Recorder that keeps what it gets.
type notes struct {
	t                              *testing.T
	w                              *roams
	frames, connections, farewells []record.Fields
	server                         record.Fields
	gone                           int
	during                         []func() // is called by Commit
	refuse                         error    // of Commit
}

func (n *notes) Frame(f record.Fields) { n.frames = append(n.frames, slices.Clone(f)) }
func (n *notes) Connection(_ *Conn, f record.Fields) (full bool) {
	n.connections = append(n.connections, slices.Clone(f))
	return len(n.connections)%5 == 0
}
func (n *notes) Farewell(f record.Fields)    { n.farewells = append(n.farewells, slices.Clone(f)) }
func (n *notes) Flush(context.Context) error { return nil }

func (n *notes) Gone(c *Conn) {
	n.gone++
	if n.w != nil {
		n.w.of(c).conn = nil
	}
}

func (n *notes) Commit(_ context.Context, f record.Fields) error {
	n.server = f
	for _, do := range n.during {
		do()
	}
	return n.refuse
}

// suspend suspends the connections while the test turns the loops.
func (w *roams) suspend(n *notes) (connections int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		connections, err = w.srv.Suspend(ctx, n)
	}()
	for {
		w.work()
		select {
		case <-done:
			w.work()
			return connections, err
		default:
		}
	}
}

// restart has another server go on with the sessions, after an attempt that fails.
func (w *roams) restart(n int) {
	for _, s := range w.sessions {
		if c := s.alive(); c != nil && !c.Part(1012, "service restart") {
			c.Close(GoingAway, ws.StatusGoingAway, "going away")
		}
	}
	w.turn()
	if n&64 != 0 {
		if _, err := w.suspend(&notes{t: w.t, w: w, refuse: errors.New("the disk is full")}); err == nil {
			w.t.Error("it has worked")
		}
		w.audit()
		for _, s := range w.sessions {
			w.send(s, n, 10) // as if nothing had been
		}
	}
	book := &notes{t: w.t, w: w}
	count, err := w.suspend(book)
	alive := 0
	for _, s := range w.sessions {
		if s.closed == 0 {
			alive++
		}
	}
	if err != nil || count != alive || book.gone != alive || len(book.connections) != alive {
		w.t.Fatalf("%d suspended, %d gone, %d alive: %v", count, book.gone, alive, err)
	}
	for _, c := range w.clients {
		if n&128 != 0 {
			c.read(1 << 20)
		}
		c.cut()
	}
	w.before.Suspended += uint64(count)
	for _, l := range w.srv.loops {
		w.before.add(&l.stats)
	}
	w.stop()
	origin, err := ParseOrigin(book.server)
	if err != nil {
		w.t.Fatal(err)
	}
	w.srv = w.serve(origin)
	im := w.srv.Import(0)
	for _, f := range book.frames {
		if err := im.Frame(f); err != nil {
			w.t.Error(err)
		}
	}
	for _, f := range book.connections {
		c, err := im.Connection(f)
		if err != nil {
			w.t.Fatal(err)
		}
		w.sessions[c.ID()].conn = c
	}
	for _, f := range book.farewells {
		if err := im.Farewell(f); err != nil {
			w.t.Error(err)
		}
	}
	im.Done()
	w.turn()
}

// away has clients with sessions that are away, each with a message.
func (w *roams) leave(clients int) {
	for i := range clients {
		c := &roam{w: w, number: i, fd: -1}
		c.connect(3 * i) // at both loops
		w.turn()
		c.read(1 << 20)
		c.cut()
		w.turn()
		w.send(c.of, 0, 10)
	}
	w.broadcast(100)
	w.turn()
}

func TestWhatIsPostedDuringASuspensionRunsAfterwards(t *testing.T) {
	for _, fails := range []bool{false, true} {
		w := newRoams(t)
		w.leave(4)
		var took []bool
		book := &notes{t: t, w: w}
		if fails {
			book.refuse = errors.New("the disk is full")
		}
		for id, s := range w.sessions {
			c := s.conn
			post := func() {
				w.srv.loops[id.Loop()].Post(func(l *Loop) bool {
					c := l.Lookup(c.ID())
					took = append(took, c != nil)
					if c != nil {
						c.Close(AppClosed, 4001, "")
					}
					return false
				})
			}
			book.during = append(book.during, post)
		}
		_, err := w.suspend(book)
		if (err != nil) != fails || !slices.Equal(took, slices.Repeat([]bool{fails}, 4)) {
			t.Errorf("fails %v: %v, %v", fails, took, err)
		}
		if !fails {
			clear(w.sessions)
		}
	}
}

func TestOnlyWhoIsAwayAndNotBeingWrittenDownGivesWay(t *testing.T) {
	w := newRoams(t)
	w.leave(2)
	for _, s := range w.sessions {
		l := s.conn.loop
		l.suspending = new(suspension)
		if s.conn.GiveWay() || s.closed > 0 {
			t.Error("it gives way while it is written down")
		}
		l.suspending = nil
		s.conn.state = stateOpen
		if s.conn.GiveWay() {
			t.Error("it gives way while its client is there")
		}
		s.conn.state = stateAway
		before := l.stats.AwayGaveWay
		if !s.conn.GiveWay() || s.closed != 1 || l.stats.AwayGaveWay != before+1 {
			t.Errorf("closed %d times, counted %d", s.closed, l.stats.AwayGaveWay-before)
		}
	}
}

func TestNothingExpiresDuringASuspension(t *testing.T) {
	w := newRoams(t)
	w.leave(2)
	book := &notes{t: t, w: w, refuse: errors.New("the disk is full")}
	book.during = append(book.during, func() {
		for _, l := range w.srv.loops {
			l.Post(func(*Loop) bool { return false })
		}
	})
	w.tick(100)
	for _, l := range w.srv.loops {
		l.suspending = new(suspension)
		for l.tick(); l.ticking; {
			l.tick()
		}
		l.suspending = nil
	}
	for _, s := range w.sessions {
		if s.closed > 0 {
			t.Error("it has expired")
		}
	}
	w.tick(1)
	w.turn()
	for _, s := range w.sessions {
		if s.closed != 1 {
			t.Error("it has not expired afterwards")
		}
	}
}

// imports takes up what a server with 4 sessions has written down.
func imports(t *testing.T, down time.Duration, change func(cfg *Config, n *notes)) (conns []*Conn, errs []error) {
	w := newRoams(t)
	w.leave(4)
	book := &notes{t: t, w: w}
	if _, err := w.suspend(book); err != nil {
		t.Fatal(err)
	}
	clear(w.sessions)
	cfg := Config{Handler: w, Resumer: w, Loops: 2, ResumeFor: modelFor * time.Second}
	if change != nil {
		change(&cfg, book)
	}
	origin, err := ParseOrigin(book.server)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Origin = origin
	srv, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Stop(context.Background())
	im := srv.Import(down)
	for _, f := range book.frames {
		im.Frame(f)
	}
	for _, f := range book.connections {
		c, err := im.Connection(f)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		conns = append(conns, c)
	}
	im.Done()
	return conns, errs
}

func TestWhatIsNotTakenUpHasAReason(t *testing.T) {
	for name, test := range map[string]struct {
		down   time.Duration
		change func(cfg *Config, n *notes)
		taken  int
		err    error
	}{
		"as it was":             {0, nil, 4, nil},
		"in time":               {(modelFor - 1) * time.Second, nil, 4, nil},
		"too late":              {(modelFor + 2) * time.Second, nil, 0, ErrExpired},
		"fewer loops":           {0, func(cfg *Config, _ *notes) { cfg.Loops = 1 }, 2, ErrNoLoop},
		"nothing can resume":    {0, func(cfg *Config, _ *notes) { cfg.ResumeFor = 0 }, 0, ErrNoResume},
		"a shared frame lacks":  {0, func(_ *Config, n *notes) { n.frames = nil }, 0, record.ErrMalformed},
		"a critical field":      {0, func(_ *Config, n *notes) { n.connections[0] = record.Append(n.connections[0], 1000, "") }, 3, &record.UnknownError{}},
		"a field to be skipped": {0, func(_ *Config, n *notes) { n.connections[0] = record.Append(n.connections[0], 1001, "") }, 4, nil},
		"the same twice":        {0, func(_ *Config, n *notes) { n.connections[1] = n.connections[0] }, 3, record.ErrMalformed},
	} {
		conns, errs := imports(t, test.down, test.change)
		if len(conns) != test.taken || len(conns)+len(errs) != 4 {
			t.Errorf("%s: %d are taken up, %v", name, len(conns), errs)
		}
		for _, err := range errs {
			var unknown *record.UnknownError
			if _, wanted := test.err.(*record.UnknownError); !errors.Is(err, test.err) && !(wanted && errors.As(err, &unknown) && unknown.Tag == 1000) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestAfterAnImportNoIDIsUsedAgainAndFreeSlotsAre(t *testing.T) {
	w := newRoams(t)
	w.leave(6)
	for _, s := range w.sessions {
		if s.client < 2 {
			w.close(s, AppClosed)
		}
	}
	w.restart(0)
	used := map[ID]bool{}
	for id := range w.sessions {
		used[id] = true
	}
	slots := []uint32{w.srv.loops[0].slots, w.srv.loops[1].slots}
	for i := range 2 {
		c := &roam{w: w, number: i, fd: -1}
		c.connect(3 * i)
		w.turn()
		c.read(1 << 20)
		if used[c.of.conn.ID()] {
			t.Error("an id is used again")
		}
		c.cut()
	}
	w.turn()
	if fmt.Sprint(slots) != fmt.Sprint([]uint32{w.srv.loops[0].slots, w.srv.loops[1].slots}) {
		t.Error("free slots are not used")
	}
}

// What is written of a message that all keep is little, whatever else they keep.
func TestSharedMessagesAreWrittenOnceAndNamedInRuns(t *testing.T) {
	const many, messages = 20, 60
	w := newRoamsWith(t, 1<<20)
	crowd := w.crowd(many)
	for i := range messages {
		w.broadcast(i)
		if i == messages/2 {
			for i, c := range crowd[:many/2] {
				w.send(c.of, 0, i)
			}
		}
	}
	w.turn()
	book := &notes{t: t, w: w, refuse: errors.New("the disk is full")}
	w.suspend(book)
	if len(book.frames) != messages || len(book.connections) != many {
		t.Errorf("%d frames and %d connections are written", len(book.frames), len(book.connections))
	}
	for _, f := range book.connections {
		runs := 0
		err := record.Read(f, func(tag record.Tag, _ []byte) (bool, error) {
			if tag == tagShared {
				runs++
			}
			return true, nil
		})
		if err != nil || runs > 2 || len(f) > 100 {
			t.Errorf("%d bytes with %d runs: %v", len(f), runs, err)
		}
	}
	copy(w.clients[:], crowd[:modelRoams/2])
	copy(w.clients[modelRoams/2:], crowd[many/2:])
	w.restart(0)
	w.settle()
	for _, c := range w.clients {
		if want := len(c.of.sent); c.got != want || want < messages {
			t.Errorf("client %d has %d of %d messages", c.number, c.got, want)
		}
	}
}

func TestABroadcastThatMustBeEscapedIsKeptOnce(t *testing.T) {
	const many, size = 20, 1000
	w := newRoamsWith(t, 1<<20)
	w.crowd(many)
	used := &w.srv.ledger.all[ResumeBudget].used
	for _, size := range []int{size, size + 3} { // the second begins with U+001E
		before := used.Load()
		w.broadcast(size)
		w.turn()
		if more := used.Load() - before; more < int64(size) || more > int64(2*size+many*(keptTakes+8*referenceTakes)) {
			t.Errorf("%d bytes for %d clients take %d", size, many, more)
		}
	}
}

func TestAFrameThatCannotBeReadIsMissedByThoseAloneThatNeedIt(t *testing.T) {
	w := newRoams(t)
	srv, err := New(Config{Handler: w, Resumer: w, Loops: 1, ResumeFor: time.Minute, Origin: &Origin{Loops: 1, floor: 1, key: [32]byte{1}}})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Stop(context.Background())
	im := srv.Import(0)
	frame := record.Append(nil, tagFrameMessage, "\x01shared")
	for i, f := range []record.Fields{frame, record.Append(frame, 1000, ""), frame, frame} {
		if err := im.Frame(f); (err != nil) != (i == 1) {
			t.Errorf("frame %d: %v", i, err)
		}
	}
	for i, test := range []struct {
		field record.Fields
		kept  int // 0: it is refused
	}{
		{appendRun(nil, 0, 1), 1},
		{appendRun(nil, 2, 2), 2},
		{appendRun(appendRun(nil, 3, 1), 2, 2), 3},
		{appendRun(nil, 0, 2), 0},
		{appendRun(nil, 1, 1), 0},
		{appendRun(nil, 2, 3), 0},
		{appendRun(nil, 4, 0), 0},
		{appendRun(nil, 1<<63, 1), 0},
		{record.Append(nil, tagShared, ""), 0},
		{record.Append(nil, tagShared, "\x00"), 0},
		{record.Append(nil, tagShared, "\x00\x01\x00"), 0},
		{record.Append(nil, tagShared, "\x80\x00\x01"), 0},
	} {
		f := record.AppendNumber(nil, tagID, uint64(MakeID(0, uint32(i), 1)))
		f = append(record.AppendNumber(record.AppendNumber(f, tagSent, 9), tagLeft, 60_000), test.field...)
		c, err := im.Connection(f)
		if (err == nil) != (test.kept > 0) || err == nil && c.record().kept.len() != test.kept || err != nil && !errors.Is(err, record.ErrMalformed) {
			t.Errorf("%x: %v", test.field, err)
		}
	}
	im.Done()
}

func FuzzImport(f *testing.F) {
	conn := record.AppendNumber(nil, tagID, uint64(MakeID(0, 3, 7)))
	for _, tag := range []record.Tag{tagSent, tagReceived, tagTurn, tagUnproven, tagLeft, tagAway} {
		conn = record.AppendNumber(conn, tag, 2)
	}
	conn = record.Append(record.AppendNumber(appendRun(conn, 0, 1), tagLeft, 60_000), tagKept, "\x01kept")
	frame := record.Append(nil, tagFrameMessage, "\x02shared")
	server := record.AppendNumber(record.AppendNumber(record.Append(nil, tagKey, make([]byte, 31, 32)[:31]), tagLoops, 1), tagFloor, 9)
	server[1] = 32 // the key's length
	server = slices.Insert(server, 2, 1)
	f.Add([]byte(frame), []byte(conn), []byte(server))
	f.Add([]byte(frame), []byte(record.Append(record.AppendNumber(conn, tagCode, 4001), tagReason, "bye")), []byte(server))
	w := new(roams)
	f.Fuzz(func(t *testing.T, frame, conn, server []byte) {
		origin, err := ParseOrigin(server)
		if err != nil {
			return
		}
		srv, err := New(Config{Handler: w, Resumer: w, Loops: 1, ResumeFor: time.Minute, Origin: origin})
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Stop(context.Background())
		im := srv.Import(0)
		im.Frame(frame)
		if id, err := IDOf(conn); err != nil || id.Slot() > 1<<16 { // as many slots are made
			return
		}
		if c, err := im.Connection(conn); err == nil && (!c.Away() || !c.record().whole() || c.record().acked() > c.record().sent) {
			t.Errorf("%+v", c.record())
		}
		im.Farewell(conn)
		im.Done()
	})
}
