package cluster

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"ws-gateway/cluster/members"
	"ws-gateway/cluster/packet"
	"ws-gateway/hub"
)

// Instance is what an operator wants to know of an instance.
type Instance struct {
	ID      packet.Instance
	Makes   packet.Instance // the number with which the ids of its connections begin
	Name    string
	Version string // of the program
	Self    bool
	Silent  bool
	Started time.Time // by the clock of this instance

	// As of its last heartbeat; of this one now.
	Draining           bool // it ends its connections, and takes no new ones
	Connections, Users uint64
	Loops              int
	Lag                time.Duration // of the slowest loop
}

// instanceOf is called by the router.
func (c *Cluster) instanceOf(m *members.Member) Instance {
	return Instance{
		ID: m.ID, Makes: m.Makes, Name: m.Name, Version: m.Program, Silent: m.Silent, Draining: m.State == members.Draining, Started: c.peers[m.ID].started,
		Connections: m.Connections, Users: m.Users, Loops: int(min(m.Loops, 1<<16)), Lag: m.Lag,
	}
}

// Instances returns this instance and all others that are known, sorted by name.
func (c *Cluster) Instances() []Instance {
	self := Instance{ID: c.cfg.Instance, Makes: c.cfg.Makes, Name: c.cfg.Name, Version: c.cfg.Version, Self: true, Draining: c.draining(), Started: c.made}
	connections, users, _ := c.hub.CountMembers(c.ctx, nil, hub.Query{})
	self.Connections, self.Users = uint64(connections), uint64(users)
	if c.cfg.Loops != nil {
		self.Loops, self.Lag = c.cfg.Loops()
	}
	all := append([]Instance{self}, *c.instances.Load()...)
	slices.SortFunc(all, func(a, b Instance) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), slices.Compare(a.ID[:], b.ID[:]))
	})
	return all
}

// App is the app whose instances these are.
func (c *Cluster) App() string { return c.cfg.App }

// Part is some of the instances: all, or one of them.
type Part struct {
	c       *Cluster
	only    packet.Instance // zero: all
	here    bool            // this instance is one of them
	live    []member
	missing []string // the names of those that are not heard
}

// Errors of At.
var (
	ErrNoInstance   = errors.New("no instance of the cluster has this name")
	ErrNotYet       = errors.New("no instance of the cluster is known by this name, but not all that there are are known at the moment")
	ErrTwoInstances = errors.New("several instances of the cluster have this name: use the id of one")
)

// At returns the instance that has a name, or an id as Instance.ID's String writes it.
func (c *Cluster) At(name string) (*Part, error) {
	var found *Instance
	for _, i := range c.Instances() {
		if i.ID.String() == name {
			found = &i
			break
		}
		if i.Name == name {
			if found != nil {
				return nil, ErrTwoInstances
			}
			found = &i
		}
	}
	switch {
	case found == nil && !c.Whole():
		return nil, ErrNotYet
	case found == nil:
		return nil, ErrNoInstance
	}
	return c.part(found.ID, found.Name), nil
}

// part is one instance, as it is now.
func (c *Cluster) part(id packet.Instance, name string) *Part {
	p := &Part{c: c, only: id, here: id == c.cfg.Instance}
	if m, ok := c.view.Load().find(id); ok {
		p.live = []member{m}
	} else if !p.here {
		p.missing = []string{name}
	}
	return p
}

// everywhere is all instances, as they are now.
func (c *Cluster) everywhere() *Part {
	v := c.view.Load()
	return &Part{c: c, here: true, live: v.live, missing: v.missing}
}

// Describe is Cluster.Describe for a connection of one of these instances.
func (p *Part) Describe(ctx context.Context, id string) (info hub.Info, groups []string, ok bool, err error) {
	if p.only != (packet.Instance{}) {
		if owner, known := hub.InstanceOf(id); !known || p.c.homeOf(owner) != p.only {
			return hub.Info{}, nil, false, nil
		}
	}
	return p.c.Describe(ctx, id)
}

// homeOf returns the instance that has the connections with ids of owner.
func (c *Cluster) homeOf(owner packet.Instance) packet.Instance {
	if owner == c.cfg.Makes {
		return c.cfg.Instance
	}
	return c.view.Load().homes.of(owner)
}
