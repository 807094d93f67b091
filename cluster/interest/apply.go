package interest

import (
	"errors"
	"fmt"
)

// Why an instance has become Unknown. It is to be asked for everything again.
var (
	ErrMissed  = errors.New("a change of names was missed")
	ErrDiffers = errors.New("the names that are known are not those that were told")
)

// Apply takes a message of an instance; those of one instance must come in the order in
// which they were made. Until an instance has begun to tell everything its messages
// are left out.
//
// An error means that something was missed, and that the instance is Unknown again. The
// caller looks at State, which may be TooMany without an error.
func (t *Table) Apply(i uint8, m *Message) error {
	in := &t.instances[i]
	switch m.Kind {
	case Begin:
		t.forget(i, Syncing)
		in.digest.Version = m.Version
		return nil
	case Change:
		return t.change(i, m)
	case Piece:
		if in.state == Syncing {
			in.behind = 0
			t.addAll(i, m.Come)
		}
		return nil
	case End:
		return t.end(i, m.Digest)
	default:
		return fmt.Errorf("%w: its kind is %d", ErrMessage, m.Kind)
	}
}

func (t *Table) change(i uint8, m *Message) error {
	in := &t.instances[i]
	if in.state != Known && in.state != Syncing && in.state != Doubtful {
		return nil
	}
	if had := in.digest.Version; m.Version != had+1 {
		t.forget(i, Unknown)
		return fmt.Errorf("%w: number %d came after number %d", ErrMissed, m.Version, had)
	}
	in.digest.Version, in.behind = m.Version, 0
	for h := range m.Gone.All { // first, because what goes makes room
		t.remove(i, h)
	}
	t.addAll(i, m.Come)
	return nil
}

func (t *Table) addAll(i uint8, hashes Hashes) {
	for h := range hashes.All {
		if t.add(i, h); t.instances[i].state == TooMany {
			return
		}
	}
}

func (t *Table) end(i uint8, told Digest) error {
	in := &t.instances[i]
	if in.state != Syncing {
		return nil
	}
	if in.digest != told {
		had := in.digest
		t.forget(i, Unknown)
		return differs(had, told)
	}
	t.know(i)
	return nil
}

func differs(had, told Digest) error {
	return fmt.Errorf("%w: %d instead of %d, sums %x and %x, after change %d and %d",
		ErrDiffers, had.Count, told.Count, had.Sum, told.Sum, had.Version, told.Version)
}

// patience is how many heartbeats may speak of what does not come.
const patience = 5

// Check compares what is known of an instance with the digest in its heartbeat. The
// heartbeat may be ahead of messages that are on their way, but not again and again
// while none of them comes. If they are equal a Doubtful instance is Known. An error
// means that the instance is Unknown again.
func (t *Table) Check(i uint8, told Digest) error {
	in := &t.instances[i]
	had, has := in.digest, in.state == Known || in.state == Doubtful
	switch {
	case in.state == Syncing, has && told.Version > had.Version:
		if in.behind++; in.behind < patience {
			return nil
		}
		t.forget(i, Unknown)
		return fmt.Errorf("%w: the last one is number %d, and number %d has been told", ErrMissed, had.Version, told.Version)
	case has && told.Version == had.Version && told != had:
		t.forget(i, Unknown)
		return differs(had, told)
	case in.state == Doubtful && told == had:
		t.know(i)
	}
	return nil
}
