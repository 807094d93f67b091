package gateway

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	clusterjournal "ws-gateway/cluster/journal"
	"ws-gateway/cmd/ws-gateway/config"
	"ws-gateway/cmd/ws-gateway/internal/statefile"
	"ws-gateway/cmd/ws-gateway/program"
	"ws-gateway/handover/record"
	"ws-gateway/hub"
	"ws-gateway/netpoll"
)

// The file of --resume-state has what netpoll, hub and forward need to go on with the
// sessions that can be resumed, each in fields that only it can read.
//
//	sessions.go        what is in the file; the start, before anything listens
//	sessions_take.go   the start: sessions are taken in
//	sessions_write.go  the end: sessions are written down

// The kinds of records.
const (
	kindHead     record.Tag = 2 // the first one
	kindProcess  record.Tag = 4
	kindServer   record.Tag = 6 // netpoll.Origin
	kindFrame    record.Tag = 8
	kindSession  record.Tag = 10
	kindFarewell record.Tag = 12
)

// The fields of these records that are this package's.
const (
	tagRun     record.Tag = 2 // of the head: which run has written it,
	tagWritten record.Tag = 4 // when, in Unix nanoseconds,
	tagProgram record.Tag = 5 // and which version

	tagHub     record.Tag = 2 // of the process: hub.Origin,
	tagEpoch   record.Tag = 4 // forward.Config.Epoch,
	tagJournal record.Tag = 6 // and with --cluster-journal its Place: writer, 8 bytes, and Unix nanoseconds, 8 bytes

	tagConnection record.Tag = 2 // of a session: netpoll's,
	tagSession    record.Tag = 4 // hub's,
	tagEvents     record.Tag = 6 // and forward's, if the app has not taken all of its events
)

// oldest is the age at which a file is not looked at any more: no session may wait longer.
const oldest = netpoll.MaxResumeFor

// sessions is the file of --resume-state, and what the start has made of it.
type sessions struct {
	lock    *os.File // of the file; nil: it is not locked
	noLocks bool     // it cannot be
	file    *statefile.File
	found   *foundSessions // nil: there are none that can be used
	refused error          // why not, although there is a file
	epoch   string
	run     [8]byte // see Gateway.run; zero: the hub's

	counts [sessionFates]int // of the sessions that were found
	events [eventFates]int   // of their events that the app had not taken

	letters int // how many of those that were given up are dead letters
}

// foundSessions is what is in the file.
type foundSessions struct {
	run               string
	written           time.Time
	epoch             string
	journal           *clusterjournal.Place // nil: there was none
	hub               *hub.Origin
	sockets           *netpoll.Origin
	frames, farewells []record.Fields
	sessions          []foundSession
	unreadable        int   // sessions of which nothing can be made
	why               error // of the last of them
}

type foundSession struct {
	id      netpoll.ID
	conn    record.Fields
	session *hub.Session
	events  record.Fields // that the app has not taken; see forward.ParseUndelivered
}

// sessionFate is what has become of a session that was found.
type sessionFate uint8

const (
	taken sessionFate = iota
	expired
	noLoop
	noResume
	noRoom
	unreadable
	sessionFates
)

var fateNames = [sessionFates]string{"taken", "expired", "no_loop", "resume_off", "no_room", "unreadable"}

// eventFate is what has become of an event that the app had not taken.
type eventFate uint8

const (
	eventTaken eventFate = iota
	eventNoRoom
	eventNoCallback
	eventFates
)

var eventFateNames = [eventFates]string{"taken", "no_room", "no_callback"}

// mostBytes is how large a file may be: twice what the limits let a gateway write, and a
// gibibyte, as the limits of the run before may have been others.
func mostBytes(c *config.Config) int64 {
	return 1<<30 + 2*(int64(c.ResumeMemory)+int64(c.CallbackMemory)+int64(c.HeaderMemory)+int64(c.MaxConnections)*(4<<10+int64(c.MaxMeta)))
}

// openSessions reads the file, before anything is built: its gateway's numbers go on.
func (g *Gateway) openSessions() error {
	if g.cfg.ResumeState == "" {
		return nil
	}
	if err := statefile.Usable(g.cfg.ResumeState); err != nil {
		return fmt.Errorf("--resume-state: %w: remove it, or choose another file", err)
	}
	s := &sessions{epoch: rand.Text()}
	g.sessions = s
	g.collectors = append(g.collectors, s)
	if err := g.lockSessions(); err != nil && !errors.Is(err, fs.ErrNotExist) { // the folder may be made with the journal's
		return err
	}
	s.file, s.refused = statefile.Open(g.cfg.ResumeState, mostBytes(g.cfg))
	if content := s.file.Content(); content != nil && s.refused == nil {
		s.found, s.refused = readSessions(content)
	}
	if s.refused == nil && s.found != nil {
		s.refused = s.file.Fresh(s.found.run)
	}
	if s.refused == nil && s.found != nil && time.Since(s.found.written) > oldest {
		s.refused = fmt.Errorf("it was written at %s, and no session waits for longer than %v", s.found.written.UTC().Format(time.RFC3339), oldest)
	}
	if s.refused == nil && s.found != nil && s.found.journal != nil && !g.takesOver() {
		s.refused = errors.New("it was written with --cluster-journal, which is not used any more: other gateways send the close events")
	}
	if s.refused != nil {
		s.found = nil
	}
	if s.found != nil {
		s.epoch = s.found.epoch
		rand.Read(s.run[:]) // never fails: it ends the process instead
	}
	return nil
}

// lockSessions keeps other gateways from the file while this one runs.
func (g *Gateway) lockSessions() (err error) {
	s := g.sessions
	s.lock, err = statefile.Lock(g.cfg.ResumeState)
	switch {
	case errors.Is(err, statefile.ErrInUse):
		return fmt.Errorf("--resume-state: %w: give each gateway a file of its own; one that is stopping must have ended first", err)
	case errors.Is(err, statefile.ErrNoLocks):
		s.noLocks = true
		g.log.Warn().Err(err).Msg("resume-state: is the file on a network file system? Make sure that each gateway has one of its own, and that one ends before the next starts")
		return nil
	case err != nil:
		return s.unusable(err)
	}
	return nil
}

// unusable is the error for a folder in which nothing can be written.
func (s *sessions) unusable(err error) error {
	return fmt.Errorf("--resume-state: %w; make the folder, give this user the right to write there, or choose another file", err)
}

// unlockSessions lets the next gateway have the file.
func (g *Gateway) unlockSessions() {
	if g.sessions != nil && g.sessions.lock != nil {
		_ = g.sessions.lock.Close() // nothing is in it
		g.sessions.lock = nil
	}
}

// beginSessions removes the file: nobody takes what is in it again. It is the last thing
// that can fail.
func (g *Gateway) beginSessions() error {
	s := g.sessions
	if s == nil {
		return nil
	}
	if s.lock == nil && !s.noLocks {
		if err := g.lockSessions(); err != nil {
			return err
		}
	}
	if s.refused != nil {
		aside, err := s.file.Refuse()
		if err != nil {
			return fmt.Errorf("--resume-state: %w; it cannot be used (%w)", err, s.refused)
		}
		g.log.Warn().Err(s.refused).Str("kept_as", aside).
			Msg("resume-state: the file is not used: clients of the last run get new sessions, and the app no close events of the old ones, unless a journal has them")
	}
	if err := s.file.Begin(); err != nil {
		return s.unusable(err)
	}
	return nil
}

var errSessions = errors.New("it lacks what every file of sessions has")

// readSessions takes a file apart. Sessions that cannot be read are counted.
func readSessions(content []byte) (*foundSessions, error) {
	f := new(foundSessions)
	err := record.ReadFile(content, func(kind record.Tag, fields record.Fields) (known bool, err error) {
		if f.run == "" && kind != kindHead {
			return true, errSessions
		}
		switch kind {
		case kindHead:
			err = f.readHead(fields)
		case kindProcess:
			err = f.readProcess(fields)
		case kindServer:
			f.sockets, err = netpoll.ParseOrigin(fields)
		case kindFrame:
			f.frames = append(f.frames, fields)
		case kindFarewell:
			f.farewells = append(f.farewells, fields)
		case kindSession:
			if one, failed := readSession(fields); failed != nil {
				f.unreadable++
				f.why = failed
			} else {
				f.sessions = append(f.sessions, one)
			}
		default:
			return false, nil
		}
		return true, err
	})
	if err == nil && (f.run == "" || f.hub == nil || f.sockets == nil || f.epoch == "") {
		err = errSessions
	}
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(f.sessions, func(a, b foundSession) int { return cmp.Compare(a.session.Connected, b.session.Connected) })
	return f, nil
}

func (f *foundSessions) readHead(fields record.Fields) error {
	return record.Read(fields, func(tag record.Tag, value []byte) (known bool, err error) {
		switch tag {
		case tagRun:
			f.run = string(value)
		case tagWritten:
			var n uint64
			n, err = record.Number(value)
			f.written = time.Unix(0, int64(n))
		default:
			return false, nil
		}
		return true, err
	})
}

func (f *foundSessions) readProcess(fields record.Fields) error {
	return record.Read(fields, func(tag record.Tag, value []byte) (known bool, err error) {
		switch tag {
		case tagHub:
			f.hub, err = hub.ParseOrigin(value)
		case tagEpoch:
			f.epoch = string(value)
		case tagJournal:
			f.journal, err = readPlace(value)
		default:
			return false, nil
		}
		return true, err
	})
}

func appendPlace(f record.Fields, p clusterjournal.Place) record.Fields {
	b := p.Writer[:]
	nanoseconds := int64(0)
	if !p.Stream.IsZero() {
		nanoseconds = p.Stream.UnixNano()
	}
	return record.Append(f, tagJournal, binary.BigEndian.AppendUint64(b, uint64(nanoseconds)))
}

func readPlace(value []byte) (*clusterjournal.Place, error) {
	p := new(clusterjournal.Place)
	if copy(p.Writer[:], value) != len(p.Writer) || len(value) != len(p.Writer)+8 {
		return nil, errSessions
	}
	if n := binary.BigEndian.Uint64(value[len(p.Writer):]); n != 0 {
		p.Stream = time.Unix(0, int64(n))
	}
	return p, nil
}

func readSession(fields record.Fields) (s foundSession, err error) {
	err = record.Read(fields, func(tag record.Tag, value []byte) (known bool, err error) {
		switch tag {
		case tagConnection:
			s.conn = value
			s.id, err = netpoll.IDOf(value)
		case tagSession:
			s.session, err = hub.ParseSession(value)
		case tagEvents:
			s.events = value
		default:
			return false, nil
		}
		return true, err
	})
	if err == nil && (s.conn == nil || s.session == nil) {
		err = errSessions
	}
	return s, err
}

// appendHead appends the first record.
func (s *sessions) appendHead(b []byte, now time.Time) []byte {
	f := record.Append(nil, tagRun, s.file.Run())
	f = record.AppendNumber(f, tagWritten, uint64(now.UnixNano()))
	f = record.Append(f, tagProgram, program.Version())
	return record.AppendRecord(b, kindHead, f)
}

const (
	metricFound  = "ws_gateway_resume_state_sessions"
	metricEvents = "ws_gateway_resume_state_events"
)

var sessionsFound = prometheus.NewDesc(metricFound,
	"Sessions in the file of --resume-state at the start, by what has become of them: taken, and waiting for their client; or ended, since their time was over, their event loop is not there (--loops), --resume-for is 0 now, --callback-memory has no room for their events, or their record cannot be read.",
	[]string{"outcome"}, nil)

var eventsFound = prometheus.NewDesc(metricEvents,
	"Events in the file of --resume-state at the start, which the app had not taken, by what has become of them: taken, to be delivered; or given up, since --callback-memory has no room for them, or there is no callback now.",
	[]string{"outcome"}, nil)

// Describe implements prometheus.Collector.
func (s *sessions) Describe(out chan<- *prometheus.Desc) {
	out <- sessionsFound
	out <- eventsFound
}

// Collect implements prometheus.Collector.
func (s *sessions) Collect(out chan<- prometheus.Metric) {
	for fate, n := range s.counts {
		out <- prometheus.MustNewConstMetric(sessionsFound, prometheus.GaugeValue, float64(n), fateNames[fate])
	}
	for fate, n := range s.events {
		out <- prometheus.MustNewConstMetric(eventsFound, prometheus.GaugeValue, float64(n), eventFateNames[fate])
	}
}
