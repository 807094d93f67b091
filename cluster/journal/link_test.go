package journal

import "testing"

func TestAJournalWhoseConnectionIsEndedForGoodGoesOnWithAnother(t *testing.T) {
	s := jetStream(t)
	a, b := startNode(t, s.URL(), 1), startNode(t, s.URL(), 2)
	a.opened("1:x")
	b.opened("2:x")
	for _, n := range []*node{a, b} {
		js, err := n.own.ledger.streams.link.jetStream()
		if err != nil {
			t.Fatal(err)
		}
		js.Conn().Close() // as some complaints of a server do
	}
	a.opened("1:y")
	b.opened("2:y")
	if a.Journal.Stats().Dropped > 0 || len(a.fences) > 0 {
		t.Errorf("%+v", a.Journal.Stats())
	}
	a.Stop(false)
	await(t, "b to close what a has left", func() bool { return len(b.sent()) == 2 })
}
