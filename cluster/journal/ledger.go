package journal

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"ws-gateway/cluster/packet"
)

// ErrFenced is returned if somebody else has appended to a subject: it is theirs.
var ErrFenced = errors.New("journal: another instance has taken over")

const (
	callTimeout = 5 * time.Second // of one request to JetStream

	headerWriter = "Wsg-Writer" // who has appended a batch
	headerNumber = "Wsg-Number" // its number among the writer's
)

// streams is JetStream, as the instances of an app use it.
type streams struct {
	js      jetstream.JetStream
	app     string
	stream  jetstream.Stream
	created time.Time // of the stream
}

func (s *streams) name() string { return "wsg_" + s.app }

func (s *streams) subject(of packet.Instance) string {
	return "wsg." + s.app + ".journal." + hex.EncodeToString(of[:])
}

// open finds the stream, or makes it. One that exists is left as it is: its replicas and
// limits are the operator's.
func (s *streams) open(ctx context.Context) error {
	if s.stream != nil {
		return nil
	}
	stream, err := s.js.Stream(ctx, s.name())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = s.js.CreateStream(ctx, jetstream.StreamConfig{
			Name: s.name(), Description: "open connections of the gateways of an app",
			Subjects: []string{"wsg." + s.app + ".journal.*"}, Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew,
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
// was in it.
func (s *streams) reborn(ctx context.Context) (bool, error) {
	info, err := s.stream.Info(ctx)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		s.stream = nil
		if err = s.open(ctx); err == nil {
			info = s.stream.CachedInfo()
		}
	}
	if err != nil {
		return false, err
	}
	again := !info.Created.Equal(s.created)
	s.created = info.Created
	return again, nil
}

// ledger is an instance's subject, to which one writer appends. It is for one goroutine.
type ledger struct {
	streams *streams
	subject string
	writer  packet.Instance
	last    uint64 // sequence number of the last append; 0: there is none
	number  uint64
	before  *Place // where the run before has left it, until the first append
}

// append appends a batch if nobody else has appended to the subject. The error is
// ErrFenced if somebody has. After any other the batch may be there or not, and has to be
// appended again.
func (l *ledger) append(ctx context.Context, batch []byte) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := l.streams.open(ctx); err != nil {
		return err
	}
	if l.before != nil {
		if err := l.goOn(ctx); err != nil {
			return err
		}
	}
	number := strconv.FormatUint(l.number, 10)
	ack, err := l.streams.js.PublishMsg(ctx, &nats.Msg{
		Subject: l.subject, Data: batch,
		Header: nats.Header{headerWriter: {l.writer.String()}, headerNumber: {number}},
	}, jetstream.WithExpectLastSequencePerSubject(l.last), jetstream.WithRetryAttempts(0))
	if err == nil {
		l.last, l.number = ack.Sequence, l.number+1
		return nil
	}
	again, cancelAgain := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancelAgain()
	seen, other := l.look(again, number)
	switch {
	case other != nil:
		return other
	case seen: // the acknowledgement was lost
		l.number++
		return nil
	}
	return err
}

// goOn finds the end of what the run before has appended. The error is ErrFenced if somebody
// else has appended since, or has done all there was to do and emptied the subject.
func (l *ledger) goOn(ctx context.Context) error {
	m, err := l.streams.stream.GetLastMsgForSubject(ctx, l.subject)
	switch {
	case err == nil && m.Header.Get(headerWriter) == l.before.Writer.String():
		l.last = m.Sequence
	case err == nil:
		return ErrFenced
	case !errors.Is(err, jetstream.ErrMsgNotFound):
		return err
	case !l.before.Stream.IsZero() && l.before.Stream.Equal(l.streams.created):
		return ErrFenced
	} // else the stream is another one, or nothing was ever appended
	l.before = nil
	return nil
}

// look finds out what the last message of the subject is, after an append that may have
// failed: that one (seen), the one before it, or somebody else's (ErrFenced).
func (l *ledger) look(ctx context.Context, number string) (seen bool, err error) {
	if l.streams.stream == nil {
		return false, nil
	}
	m, err := l.streams.stream.GetLastMsgForSubject(ctx, l.subject)
	switch {
	case err == nil && m.Header.Get(headerWriter) == l.writer.String() && m.Header.Get(headerNumber) == number:
		l.last = m.Sequence
		return true, nil
	case err == nil && m.Sequence == l.last:
		return false, nil
	case err == nil:
		return false, ErrFenced
	case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, jetstream.ErrMsgNotFound):
		again, err := l.streams.reborn(ctx)
		switch {
		case err != nil:
			return false, nil // nothing is known
		case again || l.last == 0:
			l.last = 0
			return false, nil
		}
		return false, ErrFenced // and it has done its work
	}
	return false, nil
}

// read gives all batches up to a sequence number to yield, and returns how many there
// are.
func (l *ledger) read(ctx context.Context, to uint64, yield func(batch []byte) error) (n int, err error) {
	for next := uint64(1); next <= to; n++ {
		limited, cancel := context.WithTimeout(ctx, callTimeout)
		m, err := l.streams.stream.GetMsg(limited, next, jetstream.WithGetMsgSubject(l.subject))
		cancel()
		if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && m.Sequence > to {
			return n, nil
		}
		if err != nil {
			return n, fmt.Errorf("reading the journal: %w", err)
		}
		if err := yield(m.Data); err != nil {
			return n, err
		}
		next = m.Sequence + 1
	}
	return n, nil
}

// purge removes what is before a sequence number; 0: everything.
func (l *ledger) purge(ctx context.Context, before uint64) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if l.streams.stream == nil {
		return nil
	}
	options := []jetstream.StreamPurgeOpt{jetstream.WithPurgeSubject(l.subject)}
	if before > 0 {
		options = append(options, jetstream.WithPurgeSequence(before))
	}
	return l.streams.stream.Purge(ctx, options...)
}
