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
	"ws-gateway/handover/record"
	"ws-gateway/netpoll"
)

// sampleFile is a file of version 1 with so many sessions, as it stands in fields of
// netpoll and hub that must stay what they are. Each has a message of 200 bytes, and as long
// a cookie.
func sampleFile(sessions int) []byte {
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
		add(10, record.Append(record.Append(nil, 2, conn), 4, session))
	}
	server := record.Append(nil, 2, "0123456789abcdef0123456789abcdef")
	add(6, number(number(server, 4, 1), 6, 9))
	return append(b, w.End()...)
}

// start makes a gateway that finds a file, and takes in what is in it.
func startWith(tb testing.TB, file []byte) *Gateway {
	path := filepath.Join(tb.TempDir(), "sessions")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		tb.Fatal(err)
	}
	cfg := configtest.MustParse(tb, []string{"--no-callback", "--listen=127.0.0.1:0", "--resume-for=1m", "--resume-state=" + path})
	g, err := New(new(program.Process), cfg, zerolog.Nop())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(g.Discard)
	return g
}

func TestSessionsOfVersion1AreTakenInAndWrittenDownAgain(t *testing.T) {
	const n = 300
	g := startWith(t, sampleFile(n))
	for range 2 {
		g.takeSessions()
		if g.sessions.counts[taken] != n || g.sessions.epoch != "epoch" || string(hubInstance(g)) != "instance" {
			t.Fatalf("%v, epoch %s", g.sessions.counts, g.sessions.epoch)
		}
		if err := g.sockets.Start(); err != nil {
			t.Fatal(err)
		}
		if written, err := g.writeSessions(context.Background()); written != n || err != nil {
			t.Fatalf("%d are written: %v", written, err)
		}
		file, err := os.ReadFile(g.cfg.ResumeState)
		if err != nil {
			t.Fatal(err)
		}
		g = startWith(t, file)
	}
}

func hubInstance(g *Gateway) []byte {
	i := g.hub.Instance()
	return i[:]
}

func FuzzReadSessions(f *testing.F) {
	f.Add(sampleFile(2))
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
		if err == nil && (found.hub == nil || found.sockets == nil || found.sockets.Loops < 1 || found.sockets.Loops > netpoll.MaxLoops) {
			t.Errorf("%+v", found)
		}
	})
}

// What a restart with so many sessions takes beside a stop and a start.
func BenchmarkSessions(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			file := sampleFile(n)
			var open, take, write time.Duration
			for range b.N {
				b.StopTimer()
				began := time.Now()
				if _, err := readSessions(file); err != nil {
					b.Fatal(err)
				}
				open += time.Since(began)
				g := startWith(b, file)
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
				if written, err := g.writeSessions(context.Background()); written != n || err != nil {
					b.Fatalf("%d are written: %v", written, err)
				}
				write += time.Since(began)
			}
			for name, d := range map[string]time.Duration{"ms/read": open, "ms/take": take, "ms/write": write} {
				b.ReportMetric(float64(d.Microseconds())/1000/float64(b.N), name)
			}
			b.ReportMetric(float64(len(file))/float64(n), "B/session")
		})
	}
}
