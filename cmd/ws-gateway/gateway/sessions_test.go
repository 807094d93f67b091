package gateway

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"ws-gateway/cmd/ws-gateway/config/configtest"
	"ws-gateway/cmd/ws-gateway/program"
	"ws-gateway/forward"
	"ws-gateway/handover/record"
	"ws-gateway/netpoll"
)

// sampleFile is a file of version 1 with so many sessions, as it stands in fields of
// netpoll, hub and forward that must stay what they are. Each has a message of 200 bytes, and
// as long a cookie, and these events that the app has not taken; nil: none.
func sampleFile(sessions int, events record.Fields) []byte {
	number := record.AppendNumber
	w, b := record.NewWriter()
	add := func(kind record.Tag, f record.Fields) {
		r := record.AppendRecord(nil, kind, f)
		w.Wrote(r, 1)
		b = append(b, r...)
	}
	head := record.Append(nil, 2, "run")
	add(2, number(head, 4, uint64(time.Now().UnixNano())))
	process := record.Append(nil, 2, number(record.Append(nil, 2, "instance"), 4, 7))
	add(4, record.Append(process, 4, "epoch"))
	long := strings.Repeat("x", 200)
	for i := range sessions {
		conn := number(nil, 2, uint64(netpoll.MakeID(0, uint32(i), 1)))
		for tag, n := range map[record.Tag]uint64{4: 1, 6: 3, 8: 1, 10: 0, 12: 0, 18: 60_000, 20: 100} {
			conn = number(conn, tag, n)
		}
		conn = record.Append(conn, 14, "\x01"+long)
		session := record.Append(nil, 2, fmt.Sprintf("user-%d", i))
		session = record.Append(session, 4, long)
		session = number(record.Append(session, 5, "agent"), 6, uint64(i+1))
		remote := [16]byte{10: 0xff, 11: 0xff, 12: 127, 15: 1}
		session = number(record.Append(session, 8, binary.BigEndian.AppendUint16(remote[:], 4711)), 10, 5)
		both := record.Append(record.Append(nil, 2, conn), 4, session)
		if events != nil {
			both = record.Append(both, 6, events)
		}
		add(10, both)
	}
	server := record.Append(nil, 2, "0123456789abcdef0123456789abcdef")
	add(6, number(number(server, 4, 1), 6, 9))
	return append(b, w.End()...)
}

// sampleEvents are the last two events of a session in a sample file.
func sampleEvents() (f record.Fields) {
	for _, number := range []uint64{4, 5} {
		event := record.AppendNumber(record.Append(nil, 2, "message"), 4, number)
		f = record.Append(f, 4, record.Append(event, 6, `{"data":1,"action":"message"}`))
	}
	return f
}

// start makes a gateway that finds a file, and takes in what is in it.
func startWith(tb testing.TB, file []byte, args ...string) *Gateway {
	path := filepath.Join(tb.TempDir(), "sessions")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		tb.Fatal(err)
	}
	if args == nil {
		args = []string{"--no-callback"}
	}
	cfg := configtest.MustParse(tb, append(args, "--listen=127.0.0.1:0", "--resume-for=1m", "--resume-state="+path))
	g, err := New(new(program.Process), cfg, zerolog.Nop())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(g.Discard)
	return g
}

func TestSessionsOfVersion1AreTakenInAndWrittenDownAgain(t *testing.T) {
	const n = 300
	g := startWith(t, sampleFile(n, nil))
	for range 2 {
		g.takeSessions()
		if g.sessions.counts[taken] != n || g.sessions.epoch != "epoch" || string(hubInstance(g)) != "instance" {
			t.Fatalf("%v, epoch %s", g.sessions.counts, g.sessions.epoch)
		}
		if err := g.sockets.Start(); err != nil {
			t.Fatal(err)
		}
		if written, err := g.writeSessions(context.Background(), nil); written != n || err != nil {
			t.Fatalf("%d are written: %v", written, err)
		}
		file, err := os.ReadFile(g.cfg.ResumeState)
		if err != nil {
			t.Fatal(err)
		}
		g = startWith(t, file)
	}
}

func TestEventsOfVersion1AreTakenInAndWrittenDownAgain(t *testing.T) {
	const n = 300
	file, args := sampleFile(n, sampleEvents()), []string{"--callback-url=http://127.0.0.1:1/"}
	for range 3 {
		g := startWith(t, file, args...)
		g.takeSessions()
		if s := g.events.Stats(); s.Lanes != n || s.Events != 2*n || g.sessions.events[eventTaken] != 2*n || g.sessions.counts[taken] != n {
			t.Fatalf("%d lanes, %d events; %v, %v", s.Lanes, s.Events, g.sessions.events, g.sessions.counts)
		}
		if err := g.sockets.Start(); err != nil {
			t.Fatal(err)
		}
		held, err := g.events.Hold(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if written, err := g.writeSessions(context.Background(), held); written != n || err != nil {
			t.Fatalf("%d are written: %v", written, err)
		}
		if kept := held.Release(true); kept != 2*n {
			t.Fatalf("%d events are kept", kept)
		}
		if file, err = os.ReadFile(g.cfg.ResumeState); err != nil {
			t.Fatal(err)
		}
	}
	g := startWith(t, file) // push only
	g.takeSessions()
	if g.sessions.events[eventNoCallback] != 2*n || g.sessions.counts[taken] != n {
		t.Errorf("%v, %v", g.sessions.events, g.sessions.counts)
	}
}

// The app would not see that something is missing.
func TestASessionWhoseEventsCannotBeReadEndsWithItsCloseEvent(t *testing.T) {
	closed := record.AppendNumber(record.Append(nil, 2, "close"), 4, 5)
	closed = record.Append(nil, 4, record.Append(closed, 6, `{}`))
	for name, events := range map[string]record.Fields{
		"a later field":   record.Append(sampleEvents(), 98, "x"),
		"no record":       {0xff},
		"the last is not": sampleEvents()[:len(sampleEvents())/2],
		"it has closed":   closed,
	} {
		g := startWith(t, sampleFile(1, events), "--callback-url=http://127.0.0.1:1/")
		g.takeSessions()
		if s := g.events.Stats(); s.Events != 1 || g.sessions.counts[unreadable] != 1 || g.sockets.Stats().Open != 0 {
			t.Errorf("%s: %d events wait; %v", name, s.Events, g.sessions.counts)
		}
	}
}

func hubInstance(g *Gateway) []byte {
	i := g.hub.Instance()
	return i[:]
}

func FuzzReadSessions(f *testing.F) {
	f.Add(sampleFile(2, nil))
	f.Add(sampleFile(2, sampleEvents()))
	f.Fuzz(func(t *testing.T, file []byte) {
		w, head := record.NewWriter() // with a checksum that is right
		if len(file) > len(head)+14 {
			body, records := file[len(head):len(file)-14], 0
			for rest := body; len(rest) > 0; records++ {
				_, n := binary.Uvarint(rest)
				if n <= 0 {
					break
				}
				length, m := binary.Uvarint(rest[n:])
				if m <= 0 || length > uint64(len(rest)-n-m) {
					break
				}
				rest = rest[n+m+int(length):]
			}
			w.Wrote(body, records)
			file = append(append(head, body...), w.End()...)
		}
		found, err := readSessions(file)
		if err != nil {
			return
		}
		for _, one := range found.sessions {
			_, _ = forward.ParseUndelivered(one.events, forward.Source{Seq: 5})
		}
		if found.hub == nil || found.sockets == nil || found.sockets.Loops < 1 || found.sockets.Loops > netpoll.MaxLoops {
			t.Errorf("%+v", found)
		}
	})
}

// What a restart with so many sessions takes beside a stop and a start, and with two events
// of each that the app has not taken.
func BenchmarkSessions(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { benchmarkSessions(b, n, nil) })
		b.Run(fmt.Sprint(n, "-events"), func(b *testing.B) { benchmarkSessions(b, n, sampleEvents(), "--callback-url=http://127.0.0.1:1/") })
	}
}

func benchmarkSessions(b *testing.B, n int, events record.Fields, args ...string) {
	file := sampleFile(n, events)
	var open, take, write time.Duration
	for range b.N {
		b.StopTimer()
		began := time.Now()
		if _, err := readSessions(file); err != nil {
			b.Fatal(err)
		}
		open += time.Since(began)
		g := startWith(b, file, args...)
		b.StartTimer()
		began = time.Now()
		g.takeSessions()
		take += time.Since(began)
		if g.sessions.counts[taken] != n {
			b.Fatalf("%v", g.sessions.counts)
		}
		b.StopTimer()
		if err := g.sockets.Start(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		began = time.Now()
		var held *forward.Held
		if g.events != nil {
			var err error
			if held, err = g.events.Hold(context.Background()); err != nil {
				b.Fatal(err)
			}
		}
		written, err := g.writeSessions(context.Background(), held)
		if kept := held.Release(err == nil); written != n || err != nil || (kept > 0) != (events != nil) {
			b.Fatalf("%d are written with %d events: %v", written, kept, err)
		}
		write += time.Since(began)
	}
	for name, d := range map[string]time.Duration{"ms/read": open, "ms/take": take, "ms/write": write} {
		b.ReportMetric(float64(d.Microseconds())/1000/float64(b.N), name)
	}
	b.ReportMetric(float64(len(file))/float64(n), "B/session")
}

func TestTheDocumentsSayWhatBecomesOfSessionsInTheFile(t *testing.T) {
	operations, err := os.ReadFile("../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, fate := range fateNames {
		if !strings.Contains(string(operations), "(`"+fate+"`") {
			t.Errorf("docs/operations.md does not say what the field %s of the line about sessions of the last run is", fate)
		}
	}
}
