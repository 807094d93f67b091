package hub

import "ws-gateway/hub/directory"

// Info describes a connection.
type Info = directory.Info

// Query says which connections a list has, and where a page of it begins and ends.
type Query = directory.Query

// ErrCursor is returned for a cursor that List did not make.
var ErrCursor = directory.ErrCursor

// List calls yield with the connections that q selects, grouped by user, and
// returns the cursor of the next page, or "". See directory.Directory.List, whose
// sessions are the connections.
func (h *Hub) List(q Query, yield func(user string, conns []Info) error) (next string, err error) {
	return h.directory.List(q, h.withMeta(yield))
}

// Get describes one connection.
func (h *Hub) Get(id string) (Info, bool) {
	nid, ok := h.instance.parseID(id)
	if !ok {
		return Info{}, false
	}
	info, ok := h.directory.Get(nid)
	info.Meta = h.cfg.Meta.Get(uint64(nid)).JSON()
	return info, ok
}

// Count returns how many connections and users with a connection there are.
func (h *Hub) Count() (connections, users int) {
	return int(h.open.Load()), h.directory.Users()
}
