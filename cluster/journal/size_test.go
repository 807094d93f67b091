package journal

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
)

// burst has records wait together: of n connections, with a state of so many bytes.
func (n *node) burst(from, to, bytes int) {
	for i := range to - from {
		n.Opened(fmt.Append(nil, "1:", from+i), []byte(strings.Repeat("x", bytes)), func() {})
	}
}

// recorded is the ids that are open in a node's subject, sorted, and how long its longest
// message is.
func (n *node) recorded() (ids []string, longest int) {
	n.t.Helper()
	s := newStreams(n.t, n.own.ledger.streams.js.Conn())
	l := &ledger{streams: s, subject: s.subject(n.id)}
	found := newSet()
	if _, _, err := l.read(n.t.Context(), 1<<62, func(b []byte) error {
		longest = max(longest, len(b))
		return readBatch(b, found.add)
	}); err != nil {
		n.t.Fatal(err)
	}
	for _, e := range found.entries() {
		ids = append(ids, e.ID)
	}
	slices.Sort(ids)
	return ids, longest
}

func TestABatchIsNoLongerThanWhatTheServerTakes(t *testing.T) {
	s := jetStream(t)
	a := startNode(t, s.URL(), 1, patient)
	a.opened("1:first")
	s.Stop()
	s.Change(func(o *server.Options) { o.MaxPayload = 16 << 10 }) // less than when it was connected first
	a.burst(0, 300, 500)
	s.Restart()
	await(t, "all to be written", func() bool { return a.Stats().Waiting == 0 })
	if ids, longest := a.recorded(); len(ids) != 301 || longest < 12<<10 || longest > 16<<10 {
		t.Errorf("%d are recorded, in batches of up to %d bytes", len(ids), longest)
	}
}

func TestABatchIsCutDownToWhatTheStreamTakesAndARecordThatIsLongerIsGivenUp(t *testing.T) {
	s := jetStream(t)
	js, err := jetstream.New(stranger(t, s.URL()))
	if err != nil {
		t.Fatal(err)
	}
	cfg := jetstream.StreamConfig{Name: "wsg_chat", Subjects: []string{"wsg.chat.journal.*"}}
	stream, err := js.CreateStream(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	a := startNode(t, s.URL(), 1)
	a.opened("1:first")
	a.burst(0, 50, 500) // these are written again in what the stream takes then
	a.Meta([]byte("1:7"), 3, []byte(strings.Repeat("m", 500)))
	await(t, "all to be written", func() bool { return a.Stats().Waiting == 0 })
	cfg.MaxMsgSize = 4096
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	let := make(chan struct{})
	a.Opened([]byte("1:long"), []byte(strings.Repeat("x", 8<<10)), func() { close(let) })
	a.burst(50, 100, 500)
	select {
	case <-let:
	case <-time.After(longest):
		t.Fatal("the connection whose record is given up waits")
	}
	a.Opened([]byte("1:longer"), []byte(strings.Repeat("x", 9<<10)), func() {})
	await(t, "all to be written", func() bool { return a.Stats().Waiting == 0 })
	for i := range 400 { // until what is closed is removed
		id := fmt.Append(nil, "1:short", i)
		a.Opened(id, []byte(strings.Repeat("x", 500)), nil)
		a.Closed(id)
	}
	await(t, "what is closed to be removed", func() bool { return a.Stats().Waiting == 0 && a.Stats().Compactions > 0 && stalest(t, stream) })
	ids, longest := a.recorded()
	if len(ids) != 101 || slices.Contains(ids, "1:long") || longest > 4096 {
		t.Errorf("%d are recorded, in batches of up to %d bytes", len(ids), longest)
	}
	if st := a.Stats(); st.Dropped != 2 || st.Failures > 0 {
		t.Errorf("%+v", st)
	}
	if n := a.count("a connection's record is larger than what NATS takes"); n != 1 {
		t.Errorf("it is told %d times", n)
	}
}

// stalest reports whether nothing is left from before the stream took less.
func stalest(t *testing.T, stream jetstream.Stream) bool {
	info, err := stream.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first, err := stream.GetMsg(t.Context(), info.State.FirstSeq)
	return err == nil && len(first.Data) <= 4096
}

// An append that was not acknowledged may be in the stream, and more records may wait when it is
// tried again.
func TestWhatWasTriedBeforeDoesNotStandForWhatIsAppendedNow(t *testing.T) {
	s := jetStream(t)
	j := New(Config{App: "chat"})
	j.self = instance(1)
	l := j.ledger(instance(1), newStreams(t, stranger(t, s.URL())))
	if err := l.append(t.Context(), []byte{batchVersion}); err != nil {
		t.Fatal(err)
	}
	before := *l
	x := appendRecord([]byte{batchVersion}, kindOpened, []byte("1:x"), nil)
	if err := l.append(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	again := before // as if it had not been told
	for range 2 {
		if err := again.append(t.Context(), appendRecord(slices.Clone(x), kindOpened, []byte("1:y"), nil)); err != nil {
			t.Fatal(err)
		}
	}
	found := newSet()
	if n, _, err := l.read(t.Context(), again.last, func(b []byte) error { return readBatch(b, found.add) }); err != nil || n != 4 || len(found.open) != 2 {
		t.Errorf("%v: %d batches, %d connections", err, n, len(found.open))
	}
}

// Short connections leave little behind, whatever the number of batches is that they are in.
func TestTheBytesOfWhatIsClosedAreBounded(t *testing.T) {
	s := jetStream(t)
	a := startNode(t, s.URL(), 1)
	a.opened("1:stays")
	for i := range 400 {
		id := fmt.Append(nil, "1:", i)
		a.Opened(id, []byte(strings.Repeat("x", 500)), nil)
		a.Closed(id)
	}
	await(t, "all to be written", func() bool { return a.Stats().Waiting == 0 })
	stream := newStreams(t, stranger(t, s.URL())).stream
	var bytes uint64
	await(t, "less to be there", func() bool {
		info, err := stream.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		bytes = info.State.Bytes
		return bytes < spare+4096
	})
	if a.Stats().Compactions == 0 {
		t.Errorf("%d bytes, and nothing was removed", bytes)
	}
	if ids, _ := a.recorded(); !slices.Equal(ids, []string{"1:stays"}) {
		t.Errorf("%q is recorded", ids)
	}
}
