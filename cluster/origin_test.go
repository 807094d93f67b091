package cluster

import (
	"strings"
	"testing"

	"ws-gateway/cluster/packet"
	"ws-gateway/hub"
)

// A gateway that has taken in the sessions of the run before has its ids, and is another
// instance: in nothing does it depend on what the others have of that run.
func TestARunThatGoesOnWithTheIDsOfTheOneBeforeIsCalledInItsPlace(t *testing.T) {
	for name, leave := range map[string]func(old *instance){
		"it has said goodbye":       func(old *instance) { old.Stop() },
		"its goodbye has been lost": func(old *instance) { old.bus.SetUp(false) },
	} {
		t.Run(name, func(t *testing.T) {
			x, all := together(t, 3)
			a, old := all[0], all[1]
			was := old.dial("ann")
			origin, err := hub.ParseOrigin(old.hub.Record())
			if err != nil {
				t.Fatal(err)
			}
			leave(old)
			run := packet.Instance{1, 2, 3}
			b := beginFrom(t, x, "b", origin, func(cfg *Config) { cfg.Instance, cfg.Makes = run, old.hub.Instance() })
			c, other := b.dial("ann"), a.dial("bob")
			if c.id != was.id {
				t.Fatalf("its id is %s, and was %s", c.id, was.id)
			}
			for _, i := range []*instance{a, all[2]} {
				i.await("the new run", func() bool { return i.view.Load().has(run) })
				i.mustSend(hub.Targets{Conn: c.id}, "by id")
				i.mustSend(hub.Targets{Conns: []string{c.id, other.id}}, "by ids")
				i.mustSend(hub.Targets{Users: []string{"ann"}}, "by user")
				c.expect("by id", "by ids", "by user")
				other.expect("by ids")
				info, _, ok, err := i.Describe(t.Context(), c.id)
				if err != nil || !ok || info.ID != c.id || info.User != "ann" {
					t.Errorf("described as %+v, %v, %v", info, ok, err)
				}
				part, err := i.At(run.String())
				if err != nil {
					t.Fatal(err)
				}
				if _, _, ok, err := part.Describe(t.Context(), c.id); !ok || err != nil {
					t.Errorf("the part has it: %v, %v", ok, err)
				}
			}
			b.await("the others", func() bool { return len(b.view.Load().live) == 2 })
			b.mustSend(hub.Targets{Conn: other.id}, "back")
			other.expect("back")
			if r, err := a.Close(t.Context(), hub.Targets{Conn: c.id}, 4001, "bye"); err != nil || r.Matched != 1 {
				t.Errorf("%+v, %v", r, err)
			}
			if _, _, err := c.Read(t.Context()); err == nil || !strings.Contains(err.Error(), "4001") {
				t.Errorf("closed with %v", err)
			}
		})
	}
}
