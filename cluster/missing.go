package cluster

import (
	"slices"
	"strings"
	"time"

	"ws-gateway/cluster/members"
	"ws-gateway/cluster/packet"
)

// Unknown stands for instances that nothing is known of, because the bus has not been
// reached yet, or not for long enough that all others have been heard.
const Unknown = "*"

// MissingError says which instances a call has not reached. What else the call returns
// is true of the others.
type MissingError struct {
	Names []string // sorted
	Late  bool     // one of them was there and did not answer in time; otherwise none was

	Refused bool // nothing was done anywhere (Config.Refuse)
}

func (e *MissingError) Error() string {
	why := "instances of the cluster that are not reached: "
	if e.Late {
		why = "instances of the cluster that have not answered in time: "
	}
	if e.Refused {
		why = "nothing was done, as there are " + why
	}
	return why + strings.Join(e.Names, ", ")
}

// missing is the error for instances that are missing, nil if none is.
func missing(names []string, late bool) error {
	return (&losses{names: slices.Clone(names), late: late}).err()
}

// losses are the instances that a call has not reached.
type losses struct {
	names []string
	late  bool
}

// add notes an instance that was there and could not do it in time.
func (l *losses) add(name string) {
	l.names = append(l.names, name)
	l.late = true
}

func (l *losses) err() error {
	if len(l.names) == 0 {
		return nil
	}
	slices.Sort(l.names)
	return &MissingError{Names: slices.Compact(l.names), Late: l.late}
}

// view is what API goroutines know of the members. It is immutable.
type view struct {
	up      bool                       // the link,
	since   time.Duration              // and since when; if it has never been up, since the start
	live    []member                   // those that are heard, in the order of their ids
	silent  map[packet.Instance]string // the others' names
	missing []string                   // these names, those of away, and Unknown if there may be more
	unsure  bool                       // an instance may have a connection that nobody who is known has: missing has others than those of away
	away    map[packet.Instance]string // the names of those that are gone, and whose next runs are waited for, by what the ids of their sessions begin with
	whole   bool                       // the link is up, and all that there are are known
	next    chan struct{}              // closed when there is another view
	homes   homes

	deadAfter time.Duration // Config.DeadAfter

	awaited map[packet.Instance]time.Duration // those that restart, by what their ids begin with, and until when they are waited for
}

// homes says which instance has the connections whose ids an earlier run has made, if it is
// another one: a gateway that has taken in sessions of the run before is a new instance, with
// the ids of the old one.
type homes map[packet.Instance]home

type home struct {
	id packet.Instance
	up time.Duration
}

// noteHome notes whose ids a member has. If several say so, as the run before has not said
// goodbye, the one that has started last has them.
func (v *view) noteHome(m *members.Member) {
	if m.Makes == m.ID || m.Makes == (packet.Instance{}) {
		return
	}
	if other, known := v.homes[m.Makes]; known && other.up < m.Up {
		return
	}
	if v.homes == nil {
		v.homes = homes{}
	}
	v.homes[m.Makes] = home{m.ID, m.Up}
}

// of returns the instance that has the connections with ids of owner.
func (h homes) of(owner packet.Instance) packet.Instance {
	if at, elsewhere := h[owner]; elsewhere {
		return at.id
	}
	return owner
}

type member struct {
	id     packet.Instance
	name   string
	relays bool // see members.Heartbeat
	met    bool // it has heard of us, or will before whatever it is sent
}

// find returns a member that is heard.
func (v *view) find(id packet.Instance) (m member, ok bool) {
	i, ok := slices.BinarySearchFunc(v.live, id, func(m member, id packet.Instance) int { return slices.Compare(m.id[:], id[:]) })
	if !ok {
		return member{}, false
	}
	return v.live[i], true
}

// has reports whether an instance is a member.
func (v *view) has(id packet.Instance) bool {
	_, live := v.find(id)
	_, silent := v.silent[id]
	return live || silent
}
