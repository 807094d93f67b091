package journal

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"ws-gateway/cluster/packet"
)

// suspect is an instance that is not heard.
type suspect struct {
	last  uint64        // the sequence number of its subject
	seen  time.Time     // when that was last seen; zero: the subject could not be looked at since
	quiet time.Duration // for how long it was seen to be the last, while it could be looked at
}

// blind notes that nobody can be looked at: who is silent meanwhile may live.
func blind(suspects map[packet.Instance]suspect) {
	for id, known := range suspects {
		known.seen = time.Time{}
		suspects[id] = known
	}
}

// keep looks for instances that are gone, and takes over what they have left, one after
// the other.
func (j *Journal) keep(s *streams) {
	suspects := map[packet.Instance]suspect{}
	timer := time.NewTimer(j.beatEvery())
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-j.keeping.Done():
			return
		}
		dead, err := j.look(s, suspects)
		switch {
		case err == nil:
			j.works(&j.reading)
		case j.keeping.Err() == nil:
			blind(suspects)
			j.failed(&j.reading, err)
		}
		for _, id := range dead {
			if j.keeping.Err() != nil {
				return // a fence without anybody behind it would only hold up the others
			}
			if err := j.takeOver(s, id, suspects[id].last); err != nil && j.keeping.Err() == nil {
				j.cfg.Log.Warn().Err(err).Stringer("id", id).Msg("the connections of a gateway that is gone are not all closed: it is tried again")
			}
			delete(suspects, id)
		}
		timer.Reset(j.beatEvery())
	}
}

// look returns the instances whose subject has not grown for long enough.
func (j *Journal) look(s *streams, suspects map[packet.Instance]suspect) (dead []packet.Instance, err error) {
	ctx, cancel := context.WithTimeout(j.ctx, callTimeout)
	defer cancel()
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	appends, marks := j.appends.Load(), j.marks()
	info, err := s.stream.Info(ctx, jetstream.WithSubjectFilter(s.prefix()+"*"))
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		s.stream = nil // it is made again
	}
	if err != nil {
		return nil, err
	}
	j.tellOfLimits(info.Config)
	if j.gap.look(j, info.State.Subjects[s.subject(j.self)], appends, marks) && j.limits == "" { // or it removes them by itself, which was told
		select {
		case j.gaps <- marks.losses:
		default:
		}
	}
	heard := j.cfg.Heard()
	there, strange := map[packet.Instance]bool{}, 0
	for subject := range info.State.Subjects {
		switch id, ok := instanceOf(strings.TrimPrefix(subject, s.prefix())); {
		case !ok:
			if strange++; strange > j.strangeSubjects {
				j.stranger(subject)
			}
		case id != j.self && !heard[id]:
			there[id] = true
		}
	}
	j.strangeSubjects = strange
	for id := range suspects {
		if !there[id] {
			delete(suspects, id)
		}
	}
	for id := range there {
		asked := time.Now()
		m, err := s.last(ctx, s.subject(id))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return dead, err
		}
		known, ok := suspects[id]
		if !ok || known.last != m.Sequence {
			suspects[id] = suspect{last: m.Sequence, seen: time.Now()}
			continue
		}
		if !known.seen.IsZero() {
			known.quiet += asked.Sub(known.seen)
		}
		known.seen = asked
		suspects[id] = known
		if known.quiet >= j.cfg.DeadAfter {
			dead = append(dead, id)
		}
	}
	slices.SortFunc(dead, func(a, b packet.Instance) int { return slices.Compare(a[:], b[:]) })
	return dead, nil
}

// tellOfLimits warns if the stream removes by itself what is recorded.
func (j *Journal) tellOfLimits(c jetstream.StreamConfig) {
	what := forgets(c)
	if what != "" && what != j.limits {
		j.cfg.Log.Warn().Str("limit", what).
			Msg("the stream of the cluster's journal removes messages by itself: close events of gateways that are gone will be missing. Edit or make it as docs/operations.md says of --cluster-journal")
	}
	j.limits = what
}

// forgets names what makes a stream remove messages by itself. One that refuses new ones instead
// is no such thing.
func forgets(c jetstream.StreamConfig) string {
	switch {
	case c.Retention != jetstream.LimitsPolicy:
		return "retention"
	case c.MaxAge > 0:
		return "max_age"
	case c.MaxMsgsPerSubject > 0 && !c.DiscardNewPerSubject:
		return "max_msgs_per_subject"
	case c.Discard == jetstream.DiscardOld && (c.MaxBytes > 0 || c.MaxMsgs > 0):
		return "discard"
	}
	return ""
}

// takeOver fences an instance, and sends the close events of its connections. It returns
// nil if somebody else does.
func (j *Journal) takeOver(s *streams, id packet.Instance, last uint64) error {
	l := j.ledger(id, s)
	l.at(last)
	switch err := l.append(j.ctx, []byte{batchVersion}); {
	case errors.Is(err, ErrFenced):
		return nil
	case err != nil:
		return err
	}
	// From here on the ledger is a writer's, which shows others that this goes on.
	reader, fence := l.reader(), l.last
	w := newWriter(j, l, false)
	if !j.take(id, w) {
		return j.keeping.Err() // others do it, as they see that the fence is not followed by anything
	}
	ctx, cancel := context.WithCancel(j.keeping)
	defer cancel()
	watched := make(chan struct{})
	go func() { // a writer that has been fenced itself: others go on with it
		defer close(watched)
		select {
		case <-w.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := j.closeLost(ctx, reader, id, fence)
	if err == nil {
		err = ctx.Err()
	}
	cancel()
	<-watched
	if j.keeping.Err() != nil {
		return err // what is under way is still recorded; others do the rest
	}
	j.mu.Lock()
	delete(j.taken, id)
	j.mu.Unlock()
	w.finish()
	if err != nil {
		return err
	}
	return l.purge(j.ctx, 0)
}

// take begins to write what is done with the connections of another instance, unless the looking
// after others has ended: then nobody would end the writer.
func (j *Journal) take(id packet.Instance, w *writer) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.keeping.Err() != nil {
		return false
	}
	j.taken[id] = w
	j.work.Go(w.run)
	return true
}

// closeLost sends the close events of the connections that are in an instance's subject up
// to the fence.
func (j *Journal) closeLost(ctx context.Context, l *ledger, id packet.Instance, fence uint64) error {
	found := newSet()
	batches, strangers, err := l.read(ctx, fence, func(batch []byte) error {
		return readBatch(batch, func(kind byte, conn, state []byte) {
			if owner, ok := j.cfg.Owner(string(conn)); ok && owner == id {
				found.add(kind, conn, state)
			} else {
				j.stranger(l.subject)
			}
		})
	})
	if err != nil {
		return unreadable(err)
	}
	for range strangers {
		j.stranger(l.subject)
	}
	lost := found.entries()
	if len(lost) == 0 && batches <= 2 { // the fence, and what an instance begins with at the most
		return nil
	}
	j.takeovers.Add(1)
	j.cfg.Log.Warn().Stringer("id", id).Int("connections", len(lost)).
		Msg("a gateway is gone: sending the close events of its connections")
	began := time.Now()
	if err := j.cfg.Lost(ctx, slices.Values(lost)); err != nil {
		return err
	}
	j.cfg.Log.Info().Stringer("id", id).Dur("took_ms", time.Since(began)).Msg("the connections of the gateway that is gone are closed")
	return nil
}

func metaState(number uint64, value []byte) []byte {
	return append(binary.BigEndian.AppendUint64(nil, number), value...)
}
