package netpoll

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/rs/zerolog"
)

// What a server is built on.
var static = []string{"Handler", "Loops", "Path", "SocketBuffer", "Failed", "Log", "Resumer", "Origin", "Relay"}

// another returns a value of a field's type that is not v.
func another(t *testing.T, name string, v reflect.Value) reflect.Value {
	t.Helper()
	if f := v.Type(); f.Kind() == reflect.Func {
		return reflect.MakeFunc(f, func([]reflect.Value) (none []reflect.Value) {
			for out := range f.Outs() {
				none = append(none, reflect.Zero(out))
			}
			return none
		})
	}
	var other any
	switch v.Interface().(type) {
	case Handler:
		other = newRecorder()
	case nil: // of an interface
		other = new(returns)
	case int:
		other = int(v.Int()) + 7
	case int64:
		other = v.Int() + 7
	case string:
		other = v.String() + "/other"
	case bool:
		other = !v.Bool()
	case time.Duration:
		other = time.Duration(v.Int()) + 7*time.Second
	case *Origin:
		other = new(Origin)
	case zerolog.Logger:
		other = zerolog.Nop()
	default:
		t.Fatalf("a field of a new kind: %s", name)
	}
	return reflect.ValueOf(other)
}

func TestEveryFieldOfTheConfigurationIsReloadedOrSaidToBeStatic(t *testing.T) {
	fields := reflect.TypeFor[Config]()
	for i := range fields.NumField() {
		name := fields.Field(i).Name
		s, err := New(Config{Handler: newRecorder(), Loops: 1})
		if err != nil {
			t.Fatal(err)
		}
		before := reflect.ValueOf(&s.cfg).Elem().Field(i)
		cfg := s.cfg
		changed := reflect.ValueOf(&cfg).Elem().Field(i)
		changed.Set(another(t, name, before))
		apply, err := s.Reload(cfg)
		if err != nil {
			t.Fatal(err)
		}
		// The loop does not run yet: it takes its tasks here.
		done := make(chan struct{})
		go func() { defer close(done); apply() }()
		l := s.loops[0]
		for {
			l.runTasks()
			select {
			case <-done:
			default:
				continue
			}
			break
		}
		taken := !same(reflect.ValueOf(l.cfg).Elem().Field(i), before)
		if taken == slices.Contains(static, name) {
			t.Errorf("%s: reloaded %v", name, taken)
		}
		if taken && s.inForce.Load() != l.cfg {
			t.Errorf("%s: others than the loops go on with the old value", name)
		}
		s.Stop(testContext(t))
	}
}

func same(a, b reflect.Value) bool {
	if a.Kind() == reflect.Func {
		return a.Pointer() == b.Pointer()
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}

func TestAReloadThatIsWrongChangesNothing(t *testing.T) {
	s, _ := startServer(t, Config{Handler: newRecorder()})
	before := s.inForce.Load()
	if _, err := s.Reload(Config{Handler: newRecorder(), MaxPendingBytes: -1}); err == nil || s.inForce.Load() != before {
		t.Errorf("%v", err)
	}
}

func reload(t *testing.T, s *Server, cfg Config) {
	t.Helper()
	apply, err := s.Reload(cfg)
	if err != nil {
		t.Fatal(err)
	}
	apply()
}

func TestLimitsOfAReloadCountForConnectionsThatAreOpen(t *testing.T) {
	ctx := testContext(t)
	s, addr := startServer(t, Config{Handler: newRecorder(), MaxMessageSize: 10, Loops: 2})
	c, _, err := websocket.Dial(ctx, "ws://"+addr+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	echo := func(size int) error {
		if err := c.Write(ctx, websocket.MessageText, []byte(strings.Repeat("x", size))); err != nil {
			return err
		}
		_, _, err := c.Read(ctx)
		return err
	}
	if err := echo(10); err != nil {
		t.Fatal(err)
	}
	cfg := s.cfg
	cfg.MaxMessageSize = 100
	reload(t, s, cfg)
	if err := echo(100); err != nil {
		t.Fatal(err)
	}
	cfg.MaxMessageSize = 20
	reload(t, s, cfg)
	if err := echo(20); err != nil {
		t.Fatal(err)
	}
	if err := echo(21); websocket.CloseStatus(err) != websocket.StatusMessageTooBig || !strings.Contains(err.Error(), "message over 20 bytes") {
		t.Error(err)
	}
}

func TestAShorterTimeoutCountsForThoseWhoWaitAlready(t *testing.T) {
	l := &Loop{now: 1000}
	cfg := Config{Loops: 1, HandshakeTimeout: time.Hour, WriteTimeout: time.Hour, CloseTimeout: time.Hour, ResumeFor: time.Hour}
	for kind := range l.deadlines {
		l.deadlines[kind] = deadlineQueue{head: noSlot, tail: noSlot}
	}
	l.configure(&cfg)
	const conns = 3 * shortenBudget
	l.slots = conns
	for slot := range uint32(conns) {
		l.conns.Grow(slot)
		c := l.conns.At(slot)
		c.slot = slot
		if slot%5 == 0 {
			l.now++
		}
		if kind := deadlineKind(slot % uint32(deadlineKinds)); kind != noDeadline {
			l.await(c, kind)
		}
	}
	shorter := cfg
	shorter.HandshakeTimeout, shorter.WriteTimeout, shorter.CloseTimeout = 10*time.Second, 30*time.Minute, 2*time.Hour
	l.configure(&shorter)
	turns := 1
	for slot := uint32(0); l.shorten(&slot); turns++ {
	}
	if turns < 3 {
		t.Errorf("all was done in %d turns", turns)
	}
	for kind := handshakeDeadline; kind < deadlineKinds; kind++ {
		due, waits := uint32(0), 0
		for slot := l.deadlines[kind].head; slot != noSlot; slot = l.conns.At(slot).deadline.next {
			d := l.conns.At(slot).deadline
			if d.due < due || d.due > l.now+l.deadlines[kind].after {
				t.Fatalf("kind %d, slot %d: due %d behind %d, now is %d", kind, slot, d.due, due, l.now)
			}
			due = d.due
			waits++
		}
		if waits < conns/int(deadlineKinds) {
			t.Errorf("%d wait in queue %d", waits, kind)
		}
	}
	if first := l.conns.At(l.deadlines[closeDeadline].head).deadline.due; first > 1010+3602 {
		t.Errorf("a longer timeout has moved a deadline to %d", first)
	}
}

func TestASilentHandshakeEndsByTheTimeoutOfAReload(t *testing.T) {
	t.Parallel()
	s, addr := startServer(t, Config{Handler: newRecorder(), HandshakeTimeout: time.Hour})
	connectRaw(t, addr, 3)
	awaitStats(t, s, "three handshakes", adopted(3))
	cfg := s.cfg
	cfg.HandshakeTimeout = 10 * time.Millisecond
	reload(t, s, cfg)
	awaitStats(t, s, "their ends", func(s Stats) bool { return s.HandshakeExpiry == 3 })
}

func TestAnAcceptRateOfAReloadStartsWithAWholeBurst(t *testing.T) {
	s, addr := startServer(t, Config{Handler: newRecorder(), AcceptRate: 1, AcceptBurst: 100_000})
	connectRaw(t, addr, 50)
	awaitStats(t, s, "the burst", adopted(50))
	cfg := s.cfg
	cfg.AcceptRate, cfg.AcceptBurst = 1000, 1000 // what was spent at the old rate is half a minute's debt at least
	reload(t, s, cfg)
	connectRaw(t, addr, 500)
	awaitStats(t, s, "the next burst", adopted(550))
	cfg.AcceptRate, cfg.AcceptBurst = 0, 0
	reload(t, s, cfg)
	connectRaw(t, addr, 700)
	awaitStats(t, s, "all", adopted(1250))
}

func TestAReloadAfterStopDoesNotWait(t *testing.T) {
	s, _ := startServer(t, Config{Handler: newRecorder(), Loops: 2})
	s.Stop(testContext(t))
	reload(t, s, s.cfg)
}
