package journal

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// litter is what a stranger publishes on a node's subject: garbage, and its last append in
// every way that is not an append.
func litter(t *testing.T, n *node) (strange []*nats.Msg) {
	t.Helper()
	s := &streams{js: n.own.ledger.streams.js, app: "chat"}
	if err := s.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	last, err := s.stream.GetLastMsgForSubject(t.Context(), s.subject(n.id))
	if err != nil {
		t.Fatal(err)
	}
	ours := nats.Header{headerWriter: last.Header[headerWriter], headerNumber: last.Header[headerNumber]}
	later := slices.Clone(last.Data)
	later[0]++
	foreign := func(name, value string) nats.Header {
		h := nats.Header{headerWriter: ours[headerWriter], headerNumber: ours[headerNumber]}
		h[name] = []string{value}
		return h
	}
	for _, m := range []nats.Msg{
		{}, {Data: []byte("garbage")}, {Data: bytes.Repeat([]byte{0xff}, 1<<19)},
		{Data: last.Data}, {Data: last.Data[:len(last.Data)/2]}, {Data: later},
		{Header: ours, Data: last.Data}, {Header: ours, Data: last.Data[:len(last.Data)/2]}, {Header: ours, Data: later},
		{Header: foreign(headerWriter, "nobody"), Data: last.Data},
		{Header: foreign(headerWriter, n.id.String()+"00"), Data: last.Data},
		{Header: foreign(headerWriter, instance(77).String()), Data: last.Data},
		{Header: foreign(headerNumber, ""), Data: last.Data},
		{Header: foreign("Traceparent", "1"), Data: last.Data},
	} {
		m.Subject = s.subject(n.id)
		strange = append(strange, &m)
	}
	return strange
}

// patient is for instances of which nobody is to be gone because the machine is slow.
func patient(cfg *Config) { cfg.DeadAfter = 6 * time.Second }

// publish publishes as nobody does who belongs to the cluster.
func publish(t *testing.T, conn *nats.Conn, messages ...*nats.Msg) {
	t.Helper()
	for _, m := range messages {
		if err := conn.PublishMsg(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
}

func stranger(t *testing.T, url string) *nats.Conn {
	t.Helper()
	conn, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

func TestWhatStrangersPublishOnAnInstancesSubjectIsIgnoredAndCounted(t *testing.T) {
	s := jetStream(t)
	conn := stranger(t, s.URL())
	a, b := startNode(t, s.URL(), 1, patient), startNode(t, s.URL(), 2, patient)
	a.opened("1:x", "1:y")
	strange := litter(t, a)
	publish(t, conn, strange...)
	a.opened("1:z") // it goes on: only strangers have written
	a.Closed([]byte("1:y"))
	await(t, "all to be written", func() bool { return a.Stats().Waiting == 0 })
	if n := a.Stats().Ignored; n != uint64(len(strange)) {
		t.Errorf("%d are counted, want %d", n, len(strange))
	}
	publish(t, conn, litter(t, a)...)
	a.die()
	want := []string{"1:x", "1:z"}
	await(t, "the close events", func() bool { return len(b.sent()) >= len(want) })
	await(t, "the subject to be empty", func() bool { return subjects(t, b) == 1 })
	if got := b.sent(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if n := b.Stats().Ignored; n != 2*uint64(len(strange)) {
		t.Errorf("%d are counted by the survivor, want %d", n, 2*len(strange))
	}
	if len(a.fences)+len(b.fences) != 0 {
		t.Error("somebody was fenced")
	}
	if n := bytes.Count(b.log.Bytes(), []byte("who else publishes on its subjects?")); n != 1 {
		t.Errorf("the log says so %d times", n)
	}
}

// What an instance has recorded cannot be published once more when its connections have been
// closed, since then the server would take what was appended first.
func TestWhatWasRecordedCannotBePublishedOnceMoreWhenTheSubjectIsEmpty(t *testing.T) {
	s := jetStream(t)
	conn := stranger(t, s.URL())
	heard, err := conn.SubscribeSync("wsg.chat.journal." + instance(1).String())
	if err != nil {
		t.Fatal(err)
	}
	publish(t, conn) // so that it hears everything
	a, b := startNode(t, s.URL(), 1, patient), startNode(t, s.URL(), 2, patient)
	a.Opened([]byte("1:x"), []byte("state of 1:x"), nil) // at once
	a.opened("1:y")
	a.die()
	await(t, "the subject to be empty", func() bool { return len(b.sent()) == 2 && subjects(t, b) == 1 })
	var again []*nats.Msg
	for n, _, _ := heard.Pending(); n > 0; n-- {
		m, err := heard.NextMsg(longest)
		if err != nil {
			t.Fatal(err)
		}
		again = append(again, &nats.Msg{Subject: m.Subject, Header: m.Header, Data: m.Data})
	}
	publish(t, conn, again...)
	await(t, "what was published once more to be there", func() bool { return subjects(t, b) == 2 })
	await(t, "the subject to be empty again", func() bool { return subjects(t, b) == 1 })
	if got := b.sent(); !slices.Equal(got, []string{"1:x", "1:y"}) || b.Stats().Takeovers != 1 {
		t.Errorf("%q, %+v", got, b.Stats())
	}
}

// What an instance has appended first can be appended to a subject in which there is
// nothing, as far as the server can see.
func TestASubjectThatIsNoInstancesIsEmptiedWithoutCloseEvents(t *testing.T) {
	s := jetStream(t)
	conn := stranger(t, s.URL())
	a, b := startNode(t, s.URL(), 1, patient), startNode(t, s.URL(), 2, patient)
	a.opened("1:x")
	own := &streams{js: a.own.ledger.streams.js, app: "chat"}
	if err := own.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	first, err := own.stream.GetMsg(t.Context(), 1, jetstream.WithGetMsgSubject(own.subject(a.id)))
	if err != nil {
		t.Fatal(err)
	}
	batch := appendRecord([]byte{batchVersion}, kindOpened, []byte("1:x"), []byte("state of 1:x"))
	publish(t, conn,
		&nats.Msg{Subject: own.subject(instance(8)), Data: []byte("garbage")},
		&nats.Msg{Subject: own.subject(instance(9)), Header: first.Header, Data: batch},
		&nats.Msg{Subject: own.prefix() + "nobody", Data: batch},
		&nats.Msg{Subject: own.prefix() + a.id.String() + "00", Data: batch},
	)
	await(t, "both to be emptied", func() bool { return subjects(t, b) == 4 })
	a.opened("1:y")
	if n := len(a.sent()) + len(b.sent()); n != 0 {
		t.Errorf("%d close events of connections that are open", n)
	}
	await(t, "all to be counted", func() bool {
		// Each sees the names that are none; what is emptied one of them has read.
		return a.Stats().Ignored+b.Stats().Ignored == 2+2+2
	})
	if len(a.fences)+len(b.fences) != 0 {
		t.Error("somebody was fenced")
	}
}

func TestTheNextRunGoesOnBehindWhatStrangersHavePublished(t *testing.T) {
	s := jetStream(t)
	first := startNode(t, s.URL(), 1)
	first.opened("1:x")
	strange := litter(t, first)
	first.Stop(false)
	place := first.Place()
	publish(t, stranger(t, s.URL()), strange...)
	next := startRun(t, s.URL(), 1, second, &place)
	next.opened("1:y")
	await(t, "the next run to be sure", next.Sure)
	await(t, "what strangers have published to be removed", func() bool { return next.Stats().Compactions == 1 })
	next.die()
	survivor := startNode(t, s.URL(), 2)
	await(t, "the close events", func() bool { return slices.Equal(survivor.sent(), []string{"1:x", "1:y"}) })
}

// What a stranger has published must not hide that others have done an instance's work.
func TestAnInstanceThatWasTakenOverEndsThoughAStrangerHasPublishedSince(t *testing.T) {
	s := jetStream(t)
	conn := stranger(t, s.URL())
	j := New(Config{App: "chat"})
	j.run = instance(1)
	l := j.ledger(instance(1), newStreams(t, conn))
	if err := l.append(t.Context(), []byte{batchVersion}); err != nil {
		t.Fatal(err)
	}
	other := *l
	other.writer, other.number = instance(2), 0
	garbage := &nats.Msg{Subject: l.subject, Data: []byte("garbage")}
	publish(t, conn, garbage)
	if err := other.append(t.Context(), []byte{batchVersion}); err != nil {
		t.Fatal(err)
	}
	publish(t, conn, garbage)
	for _, purged := range []bool{false, true} {
		if purged {
			if err := other.purge(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			publish(t, conn, garbage)
		}
		zombie := *l
		if err := zombie.append(t.Context(), []byte{batchVersion}); !errors.Is(err, ErrFenced) {
			t.Errorf("purged %v: %v", purged, err)
		}
		place := Place{Writer: instance(1), Stream: l.streams.created}
		next := j.ledger(instance(1), l.streams)
		next.before = &place
		if err := next.append(t.Context(), []byte{batchVersion}); !errors.Is(err, ErrFenced) {
			t.Errorf("purged %v: the next run: %v", purged, err)
		}
	}
}

func TestAnAppendWhoseAnswerWasLostCountsOnceThoughAStrangerHasPublishedSince(t *testing.T) {
	s := jetStream(t)
	conn := stranger(t, s.URL())
	j := New(Config{App: "chat"})
	j.run = instance(1)
	l := j.ledger(instance(1), newStreams(t, conn))
	if err := l.append(t.Context(), []byte{batchVersion}); err != nil {
		t.Fatal(err)
	}
	before := *l
	if err := l.append(t.Context(), []byte{batchVersion, 'x'}); err != nil {
		t.Fatal(err)
	}
	publish(t, conn, &nats.Msg{Subject: l.subject, Data: []byte("garbage")})
	again := before // as if it had not been told
	if err := again.append(t.Context(), []byte{batchVersion, 'x'}); err != nil || again.number != l.number || again.last != l.last || again.end <= again.last {
		t.Errorf("%v: %+v, want %+v", err, again, l)
	}
	if err := again.append(t.Context(), []byte{batchVersion}); err != nil {
		t.Error(err)
	}
}
