package cluster

import (
	"testing"

	"ws-gateway/cluster/bus"
	"ws-gateway/cluster/bus/localbus"
	"ws-gateway/cluster/packet"
)

func TestWhoHasIntroducedItselfIsKnownToTheOthers(t *testing.T) {
	x := localbus.NewExchange()
	alone := func(c *Config) { c.listenFor = 0 } // the default: until then it does not know whether there are others
	a := begin(t, x, "a", alone)
	a.Introduce() // in vain, as nobody is there
	a.await("to know that nobody is there", a.Whole)
	for _, name := range []string{"b", "c", "d"} {
		b := begin(t, x, name, alone)
		b.Introduce()
		if !a.view.Load().has(b.cfg.Instance) {
			t.Errorf("%s is not known", name)
		}
	}
}

// neverUp is a bus whose first attempt has failed.
type neverUp struct{ *bus.Queue }

func (neverUp) Publish([8]byte, []byte) bool { return false }
func (neverUp) MaxPacket() int               { return 4 << 10 }
func (neverUp) Stats() (s bus.Stats)         { return s }
func (neverUp) Close()                       {}

func TestOverALinkThatCannotBeMadeNobodyIsWaitedFor(t *testing.T) {
	other := begin(t, localbus.NewExchange(), "a")
	down := neverUp{bus.NewQueue(1 << 10)}
	c, err := New(Config{Hub: other.hub, Bus: down, Instance: packet.Instance{9}, App: "chat", Name: "b"})
	if err != nil {
		t.Fatal(err)
	}
	c.Start()
	defer c.Stop()
	select {
	case <-c.met:
		t.Error("it waits for nobody before that is known")
	default:
	}
	down.Put(bus.Event{Kind: bus.Down})
	<-c.met
}
