package directory

import (
	"slices"

	"ws-gateway/netpoll"
)

// Among are the sessions that a list is limited to.
type Among struct {
	IDs   []netpoll.ID // ascending
	Label string       // what they have in common: it tells the cursors of different lists apart
}

func (a *Among) has(id netpoll.ID) bool {
	_, found := slices.BinarySearch(a.IDs, id)
	return found
}

// stripesOf says in which stripes a list finds the sessions that it is limited to,
// so that it does not look at everybody to find a few. It is nil if there is no
// limit.
func (d *Directory) stripesOf(a *Among) *[stripeCount]bool {
	if a == nil {
		return nil
	}
	stripes := new([stripeCount]bool)
	for _, id := range a.IDs {
		if s := d.at(refOf(id)); s != nil {
			if l := s.listing(); l.generation() == id.Generation() {
				stripes[l.stripe()] = true
			}
		}
	}
	return stripes
}
