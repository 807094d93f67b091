package journal

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"ws-gateway/cluster/packet"
)

// ErrFenced is returned if another instance has appended to a subject: it is theirs.
var ErrFenced = errors.New("journal: another instance has taken over")

const (
	callTimeout = 5 * time.Second // of one request to JetStream

	headerWriter = "Wsg-Writer" // who has appended a batch
	headerNumber = "Wsg-Number" // its number among the writer's
)

// streams is JetStream, as the instances of an app use it. It is for one goroutine.
type streams struct {
	link    *link // nil: js is never another one
	js      jetstream.JetStream
	app     string
	stream  jetstream.Stream
	created time.Time // of the stream
}

func (s *streams) name() string { return "wsg_" + s.app }

func (s *streams) prefix() string { return "wsg." + s.app + ".journal." }

func (s *streams) subject(of packet.Instance) string {
	return s.prefix() + of.String()
}

// open finds the stream, or makes it. One that exists is left as it is: its replicas and
// limits are the operator's.
func (s *streams) open(ctx context.Context) error {
	if s.link != nil {
		js, err := s.link.jetStream()
		if err != nil {
			return err
		}
		if js != s.js {
			s.js, s.stream = js, nil
		}
	}
	if s.stream != nil {
		return nil
	}
	stream, err := s.js.Stream(ctx, s.name())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = s.js.CreateStream(ctx, jetstream.StreamConfig{
			Name: s.name(), Description: "open connections of the gateways of an app",
			Subjects: []string{s.prefix() + "*"}, Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew,
		})
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // by another instance that has started at once
			stream, err = s.js.Stream(ctx, s.name())
		}
	}
	if err != nil {
		return err
	}
	s.stream = stream
	if s.created.IsZero() {
		s.created = stream.CachedInfo().Created
	}
	return nil
}

// reborn reports whether the stream is another one than before, which has lost all that
// was in it, and the sequence number of its last message.
func (s *streams) reborn(ctx context.Context) (again bool, last uint64, err error) {
	info, err := s.stream.Info(ctx)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		s.stream = nil
		if err = s.open(ctx); err == nil {
			info = s.stream.CachedInfo()
		}
	}
	if err != nil {
		return false, 0, err
	}
	again = !info.Created.Equal(s.created)
	s.created = info.Created
	return again, info.State.LastSeq, nil
}

// ledger is an instance's subject, to which one writer appends. It is for one goroutine.
type ledger struct {
	streams *streams
	subject string
	writer  packet.Instance
	last    uint64 // sequence number of the last append; 0: there is none
	end     uint64 // of the last message, which somebody else may have written; 0: there is none
	number  uint64
	sure    time.Duration   // for so long after an append has begun that was done nobody can have taken over
	until   time.Time       // the end of that; zero: there was none
	before  *Place          // where the run before has left it, until the first append
	purges  *atomic.Uint64  // counts those that have begun and ended; nil: nobody asks
	strange func()          // told of each message that no instance has appended
	renewed func(lost bool) // told when nothing is in the stream of what should be: it was removed (lost), or the run before has appended nothing
}

// tooLarge reports whether a batch was refused because of its size: by the server or, as a
// message of the stream, by JetStream.
func tooLarge(err error) bool {
	return errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, jetstream.ErrStreamMessageExceedsMaximum)
}

// at makes a message the last append.
func (l *ledger) at(sequence uint64) { l.last, l.end = sequence, sequence }

// mostTries is how often an append is tried at once, if only strangers have written meanwhile.
const mostTries = 8

// append appends a batch if no other instance has appended to the subject. The error is
// ErrFenced if one has. If tooLarge says so, the batch is not there. After any other the
// batch may be there or not; whatever is appended next, it may come once more.
//
// The first append is an empty batch. The server takes it whenever the subject is empty: if
// somebody publishes it once more when the subject has been emptied, nothing is recorded by
// that. All others name a sequence number that is never used again.
func (l *ledger) append(ctx context.Context, batch []byte) error {
	whole := ctx
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := l.streams.open(ctx); err != nil {
		return err
	}
	if l.before != nil {
		if err := l.goOn(whole); err != nil {
			return err
		}
	}
	for tries := 1; ; tries++ {
		end, next := l.end, batch
		first := l.last == 0 && len(batch) > 1
		if first {
			next = []byte{batchVersion}
		}
		began := time.Now()
		err, seen := l.publish(ctx, next), false
		if err != nil && !tooLarge(err) {
			again, cancelAgain := context.WithTimeout(whole, callTimeout)
			var other error
			seen, other = l.look(again, next)
			cancelAgain()
			if other != nil {
				return other
			}
		}
		switch done := err == nil || seen; { // if it is seen the acknowledgement was lost
		case done:
			l.number++
			l.until = began.Add(l.sure)
			if !first {
				return nil
			}
		case l.end == end || tries >= mostTries:
			return err
		}
	}
}

// publish appends a batch at the end of the subject, as far as that is known.
func (l *ledger) publish(ctx context.Context, batch []byte) error {
	ack, err := l.streams.js.PublishMsg(ctx, &nats.Msg{
		Subject: l.subject, Data: batch,
		Header: nats.Header{headerWriter: {l.writer.String()}, headerNumber: {strconv.FormatUint(l.number, 10)}},
	}, jetstream.WithExpectLastSequencePerSubject(l.end), jetstream.WithRetryAttempts(0))
	if err == nil {
		l.at(ack.Sequence)
	}
	return err
}

// appended returns which instance has appended a message, and its number. ok is false for
// what a stranger has published: it was no append, which the server takes if its sender
// knows what was before it, and refuses if it comes once more.
func appended(h nats.Header) (writer packet.Instance, number string, ok bool) {
	writer, ok = instanceOf(h.Get(headerWriter))
	number = h.Get(headerNumber)
	return writer, number, ok && number != "" && h.Get(jetstream.ExpectedLastSubjSeqHeader) != ""
}

// instanceOf reads what Instance.String has written.
func instanceOf(name string) (id packet.Instance, ok bool) {
	if len(name) != hex.EncodedLen(len(id)) {
		return id, false
	}
	_, err := hex.Decode(id[:], []byte(name))
	return id, err == nil
}

// goOn finds the end of what the run before has appended. The error is ErrFenced if another
// instance has appended since, or has done all there was to do and emptied the subject.
func (l *ledger) goOn(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, callTimeout)
	m, err := l.streams.last(limited, l.subject)
	cancel()
	if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
		return err
	}
	var last packet.Instance // who has appended last
	var at, end uint64
	if err == nil {
		end = m.Sequence
		var ok bool
		if last, _, ok = appended(m.Header); ok {
			at = end
		} else {
			err := l.each(ctx, 1, end, func(m *jetstream.RawStreamMsg) error {
				if writer, _, ok := appended(m.Header); ok {
					last, at = writer, m.Sequence
				} else {
					l.strange()
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	switch {
	case at > 0 && last != l.before.Writer:
		return ErrFenced
	case at == 0 && !l.before.Stream.IsZero() && l.before.Stream.Equal(l.streams.created):
		return ErrFenced
	case at == 0: // the stream is another one, or nothing was ever appended
		l.renewed(!l.before.Stream.IsZero())
	}
	l.last, l.end, l.before = at, end, nil
	return nil
}

// look finds out what is in the subject since the last append, after one that may have
// failed: that one (seen), one before it of which that was not known, another instance's
// (ErrFenced), or nothing that counts.
func (l *ledger) look(ctx context.Context, batch []byte) (seen bool, err error) {
	if l.streams.stream == nil {
		return false, nil
	}
	m, err := l.streams.last(ctx, l.subject)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, jetstream.ErrMsgNotFound):
		return false, l.lost(ctx)
	case err != nil:
		return false, nil // nothing is known
	}
	if l.last > 0 {
		own, err := l.streams.from(ctx, l.subject, l.last)
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound), err == nil && own.Sequence != l.last:
			if err := l.lost(ctx); err != nil || l.last > 0 {
				return false, err
			}
		case err != nil:
			return false, nil
		}
	}
	if m.Sequence < l.end { // some of what was behind the last append has been removed
		l.end = l.last
	}
	err = l.each(ctx, l.end+1, m.Sequence, func(m *jetstream.RawStreamMsg) error {
		switch writer, its, ok := appended(m.Header); {
		case !ok:
			l.strange()
		case writer != l.writer || its != strconv.FormatUint(l.number, 10):
			return ErrFenced
		case bytes.Equal(m.Data, batch):
			seen = true
			l.last = m.Sequence
		default: // more may be waiting now than when that was tried
			l.number++
			l.last = m.Sequence
		}
		l.end = m.Sequence
		return nil
	})
	if errors.Is(err, ErrFenced) {
		return false, err
	}
	return seen, nil // if not everything was read, the next look goes on there
}

// lost finds out why the last append is not there any more: ErrFenced if another instance
// has done its work, nil if nothing is known, or if it is lost: then it begins anew. It is lost if
// the stream is another one; if the stream ends before it, as that of a server that has lost what
// it had not yet synced; or if nobody can have taken over, so that it was purged.
func (l *ledger) lost(ctx context.Context) error {
	again, end, err := l.streams.reborn(ctx)
	switch {
	case err != nil:
		return nil
	case l.last == 0 && !again:
		l.at(0)
		return nil
	case !again && end >= l.last && !time.Now().Before(l.until):
		return ErrFenced
	}
	switch err := l.discard(ctx); {
	case errors.Is(err, ErrFenced):
		return err
	case err != nil:
		return nil
	}
	l.at(0)
	l.renewed(true)
	return nil
}

// discard empties the subject of what this writer has appended long ago: what was recorded behind
// it is not there. The error is ErrFenced if another instance has appended.
func (l *ledger) discard(ctx context.Context) error {
	m, err := l.streams.last(ctx, l.subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	from := m.Sequence
	if _, _, ok := appended(m.Header); !ok { // what is before a stranger's counts
		from = 1
	}
	err = l.each(ctx, from, m.Sequence, func(m *jetstream.RawStreamMsg) error {
		if writer, _, ok := appended(m.Header); ok && writer != l.writer {
			return ErrFenced
		}
		return nil
	})
	if err != nil {
		return err
	}
	return l.purge(ctx, m.Sequence+1)
}

// reader returns a ledger of the subject that reads while another goroutine appends.
func (l *ledger) reader() *ledger {
	s := *l.streams
	return &ledger{streams: &s, subject: l.subject}
}

// read gives all batches up to a sequence number to yield, and returns how many there
// are, and how many messages of strangers it has left out.
func (l *ledger) read(ctx context.Context, to uint64, yield func(batch []byte) error) (batches, strangers int, err error) {
	err = l.each(ctx, 1, to, func(m *jetstream.RawStreamMsg) error {
		if _, _, ok := appended(m.Header); !ok {
			strangers++
			return nil
		}
		batches++
		return yield(m.Data)
	})
	return batches, strangers, err
}

// each gives the messages from one sequence number to another to yield.
func (l *ledger) each(ctx context.Context, from, to uint64, yield func(m *jetstream.RawStreamMsg) error) error {
	for next := from; next <= to; {
		limited, cancel := context.WithTimeout(ctx, callTimeout)
		m, err := l.streams.from(limited, l.subject, next)
		cancel()
		if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && m.Sequence > to {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the journal: %w", err)
		}
		if err := yield(m); err != nil {
			return err
		}
		next = m.Sequence + 1
	}
	return nil
}

// purge removes what is before a sequence number; 0: everything.
func (l *ledger) purge(ctx context.Context, before uint64) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if l.streams.stream == nil {
		return nil
	}
	if l.purges != nil {
		l.purges.Add(1)
		defer l.purges.Add(1)
	}
	options := []jetstream.StreamPurgeOpt{jetstream.WithPurgeSubject(l.subject)}
	if before > 0 {
		options = append(options, jetstream.WithPurgeSequence(before))
	}
	return l.streams.stream.Purge(ctx, options...)
}
