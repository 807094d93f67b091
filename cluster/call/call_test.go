package call

import (
	"context"
	"errors"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"ws-gateway/cluster/packet"
	"ws-gateway/hub"
)

var calls = map[packet.Kind]Call{
	Send:     {Targets: hub.Targets{Conns: []string{"a", "b"}, Users: []string{"", "u"}, Owned: true, OpenFor: 1500 * time.Microsecond, Exclude: []string{"x"}}, Binary: true, Trace: "00-a-b-01"},
	Close:    {Targets: hub.Targets{Remote: netip.MustParsePrefix("10.0.0.0/8"), RemotePort: 80, Exclude: []string{"x"}}, Code: 4001, Reason: "enough"},
	Join:     {Targets: hub.Targets{Groups: []string{"g"}}, Names: []string{"h", "i"}},
	Leave:    {Targets: hub.Targets{Users: []string{"u"}}, Names: []string{"h"}},
	List:     {Names: []string{"g"}, Query: hub.Query{Users: []string{""}, UserPrefix: "p", Remote: netip.MustParsePrefix("10.0.0.0/8"), RemotePort: 80, OlderThan: 90 * time.Second, Limit: 500, Cursor: "c"}},
	Count:    {Query: hub.Query{Limit: 1}},
	Describe: {Targets: hub.Targets{Conn: "a"}},
	SetMeta:  {Targets: hub.Targets{All: true}, Meta: `{"a":1}`},
	Groups:   {Groups: hub.GroupQuery{Conn: "a", Users: []string{"u", ""}, Limit: 7, Cursor: "c"}},
	Watch: {Watch: Reader{ID: 1 << 50, Allow: 100, TapFilter: hub.TapFilter{
		Users: []string{"u", ""}, Conns: []string{"c"}, Groups: []string{"g"}, Actions: []hub.TapAction{hub.TapOpen, hub.TapClose}, Payload: true,
	}}},
	Unwatch: {Watch: Reader{ID: 3}},
}

func TestACallIsReadAsItWasWritten(t *testing.T) {
	for kind, want := range calls {
		f := want.Append(nil, kind)
		got, err := Read(kind, packet.AppendField(f, 200, "of a later version"))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%d: %+v %v, want %+v", kind, got, err, want)
		}
	}
	one := Call{Targets: hub.Targets{Conn: "a", Conns: []string{"b"}}}
	if got, _ := Read(Send, one.Append(nil, Send)); !reflect.DeepEqual(got.Targets.Conns, []string{"a", "b"}) {
		t.Errorf("%+v", got)
	}
}

func TestAnAnswerIsReadAsItWasWritten(t *testing.T) {
	for _, want := range []Result{
		{},
		{Matched: 3, Queued: 2, Slow: 1, Payload: []byte("x")},
		{Connections: 1 << 40, Cursor: "next"},
		{Err: hub.ErrStopped},
		{Err: context.DeadlineExceeded},
		{Err: hub.ErrGroupMemory},
		{Err: hub.ErrCursor},
		{Err: hub.ErrNoMeta},
		{Err: hub.ErrMetaMemory},
		{Err: &hub.MetaLimitError{Bytes: 2000, Limit: 1024}},
		{Err: ErrUnknown},
		{Dropped: 17, Err: hub.ErrTaps},
		{Err: &hub.GroupLimitError{Conn: "a", Groups: 101, Limit: 100}},
	} {
		got, err := ReadResult(want.Append(nil), want.Payload)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v %v, want %+v", got, err, want)
		}
	}
	other := Result{Err: errors.New("with a secret in it")}
	if got, _ := ReadResult(other.Append(nil), nil); got.Err != ErrFailed {
		t.Errorf("%v", got.Err)
	}
}

func TestRowsAndGroupsAreReadAsTheyWereWritten(t *testing.T) {
	row := hub.Info{ID: "i", User: "", UserAgent: "agent", RemoteAddr: "10.0.0.1:5", Meta: "{}", ConnectedAt: time.Unix(0, 1_700_000_000_123_456_789)}
	group := hub.Group{Name: "g", Connections: 12}
	payload := AppendGroup(AppendRow(nil, &row), &group)
	r := NewRows(payload)
	if got := r.Row(); got != row {
		t.Errorf("%+v", got)
	}
	if got := r.Group(); got != group || r.More() || r.Err() != nil {
		t.Errorf("%+v %v", got, r.Err())
	}
	for cut := range payload {
		r := NewRows(payload[:cut])
		r.Row()
		r.Group()
		if r.Err() == nil || r.More() || r.Word() != 0 {
			t.Errorf("%d of %d bytes are read without an error", cut, len(payload))
		}
	}
}

func TestEventsAreReadAsTheyWereWritten(t *testing.T) {
	at := time.Unix(0, 1_700_000_000_123_456_789)
	closed := hub.TapEvent{Time: at, Action: hub.TapClose, ConnID: "c", User: "u"}
	closed.End.Code, closed.End.Reason, closed.End.Initiator = 4001, "bye", "client"
	want := []hub.TapEvent{
		{Time: at, Action: hub.TapOpen, ConnID: "c", User: "", RemoteAddr: "10.0.0.1:5"},
		{Time: at, Action: hub.TapMessage, ConnID: "c", User: "u", Size: 1 << 33, Binary: true, Data: []byte{0, 1}, Truncated: true},
		{Time: at, Action: hub.TapSend, Trace: "00-a-b-01", ConnID: "c", User: "u", Data: []byte{}},
		{Time: at, Action: hub.TapPing, ConnID: "c", User: "u", Size: 12},
		{Time: at, Action: hub.TapAway, ConnID: "c", User: "u"},
		{Time: at, Action: hub.TapResumed, ConnID: "c", User: "u", RemoteAddr: "10.0.0.2:6", Away: 4711 * time.Millisecond},
		closed,
	}
	var payload []byte
	for i := range want {
		payload = AppendEvent(payload, &want[i])
	}
	r := NewRows(payload)
	for i := range want {
		if got, known := r.Event(); !known || !reflect.DeepEqual(got, want[i]) {
			t.Errorf("%+v, want %+v", got, want[i])
		}
	}
	if r.More() || r.Err() != nil {
		t.Errorf("something is left: %v", r.Err())
	}
	one := AppendEvent(nil, &want[1])
	for cut := range one {
		if _, known := NewRows(one[:cut]).Event(); known {
			t.Errorf("%d of %d bytes are an event", cut, len(one))
		}
	}
	later := append(AppendName(nil, "yodel"), one[len(AppendName(nil, "message")):]...)
	r = NewRows(append(later, one...))
	if _, known := r.Event(); known {
		t.Error("an action of a later version is known")
	}
	if got, known := r.Event(); !known || got.Action != hub.TapMessage {
		t.Errorf("what comes behind an unknown action: %+v", got)
	}
}

func FuzzRead(f *testing.F) {
	for kind, c := range calls {
		f.Add(byte(kind), []byte(c.Append(nil, kind)))
	}
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		fields, payload, err := packet.Split(b, uint32(len(b)))
		if err != nil {
			return
		}
		if c, err := Read(packet.Kind(kind), fields); err == nil {
			again, err := Read(packet.Kind(kind), c.Append(nil, packet.Kind(kind)))
			if err != nil {
				t.Fatal(err, again)
			}
		}
		if r, err := ReadResult(fields, payload); err == nil && (r.Matched < 0 || r.Connections < 0) {
			t.Fatalf("%+v", r)
		}
		for r := NewRows(b); r.More(); {
			r.Row()
			r.Group()
			r.Event()
		}
	})
}
