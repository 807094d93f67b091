package hub

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"unique"

	"ws-gateway/forward"
	"ws-gateway/handover/record"
	"ws-gateway/hub/groups"
	"ws-gateway/hub/meta"
	"ws-gateway/netpoll"
)

// What a hub needs to go on with a session in another process is written down as a record,
// beside netpoll's of the connection.

const (
	tagUser      record.Tag = 2
	tagHeaders   record.Tag = 4
	tagAgent     record.Tag = 5
	tagConnected record.Tag = 6 // Unix nanoseconds
	tagRemote    record.Tag = 8 // address, 16 bytes, and port, 2 bytes
	tagSeq       record.Tag = 10
	tagFresh     record.Tag = 13 // there if Session.Fresh
	tagGroup     record.Tag = 14 // a name; the group that it was last put into comes first
	tagMeta      record.Tag = 16 // JSON
)

// The fields of a hub.
const (
	tagInstance   record.Tag = 2
	tagMetaNumber record.Tag = 4 // see meta.Store.Number
)

// Origin is what a hub must have of the one whose sessions it takes up.
type Origin struct {
	instance   instance
	metaNumber uint64
}

// Instance returns the number with which the ids of its connections begin.
func (o *Origin) Instance() [8]byte { return o.instance }

// Record returns what another hub must have of this one that takes up its sessions.
func (h *Hub) Record() record.Fields {
	f := record.Append(nil, tagInstance, h.instance[:])
	return record.AppendNumber(f, tagMetaNumber, h.cfg.Meta.Number())
}

// ParseOrigin reads the record of a hub.
func ParseOrigin(f record.Fields) (o *Origin, err error) {
	o = new(Origin)
	err = record.Read(f, func(tag record.Tag, value []byte) (known bool, err error) {
		switch tag {
		case tagInstance:
			if len(value) != len(o.instance) {
				return true, errSession
			}
			copy(o.instance[:], value)
		case tagMetaNumber:
			o.metaNumber, err = record.Number(value)
		default:
			return false, nil
		}
		return true, err
	})
	if err == nil && o.instance == (instance{}) {
		err = errSession
	}
	return o, err
}

// AppendSession appends the record of a connection's session to f. Only its loop may call
// it.
func (h *Hub) AppendSession(f record.Fields, c *netpoll.Conn) record.Fields {
	id := c.ID()
	ls := h.loops[id.Loop()]
	s := ls.sessions.At(id.Slot())
	f = record.Append(f, tagUser, s.User)
	f = record.Append(f, tagHeaders, s.Headers)
	f = record.Append(f, tagAgent, s.Agent.Value())
	f = record.AppendNumber(f, tagConnected, uint64(s.Connected()))
	addr, port := s.Addr().As16(), s.Remote().Port()
	f = record.Append(f, tagRemote, binary.BigEndian.AppendUint16(addr[:], port))
	f = record.AppendNumber(f, tagSeq, uint64(s.Seq))
	if s.Fresh {
		f = record.Append(f, tagFresh, "")
	}
	if s.Groups != 0 {
		for _, name := range ls.groups.GroupsOf(nil, id.Slot()) {
			f = record.Append(f, tagGroup, name)
		}
	}
	if v := h.cfg.Meta.Get(uint64(id)); v != nil {
		f = record.Append(f, tagMeta, v.JSON())
	}
	return f
}

// Suspended takes a connection off the list that another hub goes on with. Only its loop may
// call it.
func (h *Hub) Suspended(c *netpoll.Conn) { h.exit(h.loops[c.ID().Loop()], c.ID()) }

// Session is the record of a session.
type Session struct {
	Connected int64 // Unix nanoseconds

	user, headers, agent string
	remote               netip.AddrPort
	seq                  uint32
	fresh                bool
	groups               []string
	meta                 string
}

var errSession = fmt.Errorf("%w: a session's record", record.ErrMalformed)

// ParseSession reads the record of a session. It copies what it keeps.
func ParseSession(f record.Fields) (s *Session, err error) {
	s = new(Session)
	err = record.Read(f, func(tag record.Tag, value []byte) (known bool, err error) {
		var n uint64
		switch tag {
		case tagUser:
			s.user = string(value)
		case tagHeaders:
			s.headers = string(value)
		case tagAgent:
			s.agent = string(value)
		case tagConnected:
			n, err = record.Number(value)
			s.Connected = int64(n)
		case tagRemote:
			if len(value) != 16+2 {
				return true, errSession
			}
			s.remote = netip.AddrPortFrom(netip.AddrFrom16([16]byte(value)), binary.BigEndian.Uint16(value[16:]))
		case tagSeq:
			if n, err = record.Number(value); n >= 1<<32 {
				err = errSession
			}
			s.seq = uint32(n)
		case tagFresh:
			s.fresh = true
		case tagGroup:
			s.groups = append(s.groups, string(value))
			err = groups.CheckName(string(value))
		case tagMeta:
			s.meta = string(value)
		default:
			return false, nil
		}
		return true, err
	})
	if err == nil && !s.remote.IsValid() {
		err = errSession
	}
	return s, err
}

// Restore makes the session of a connection that netpoll has taken up, before the loops run.
// It is listed as away. As after a reload, limits that have become lower end nothing; they
// keep newcomers out. Metadata is left out if there can be none any more. Sessions must come
// in the order of Connected.
func (h *Hub) Restore(c *netpoll.Conn, kept *Session) {
	id := c.ID()
	ls, slot := h.loops[id.Loop()], id.Slot()
	h.open.Add(1)
	if ls.counts(slot) {
		ls.settings.addresses.pass(kept.remote.Addr())
	}
	ls.sessions.Grow(slot)
	s := ls.sessions.At(slot)
	s.Headers, s.Agent, s.Seq, s.Fresh = kept.headers, unique.Make(kept.agent), kept.seq, kept.fresh
	s.SetRemote(kept.remote)
	if ls.opened != nil {
		ls.opened.Grow(slot)
	}
	h.directory.Join(id, s, kept.user, 0, kept.Connected)
	h.restoreAway(ls, id, s, c.AwayFor())
	ls.open++
	ls.heads.Add(int64(s.Kept()))
	c.KeepInstead(s.Kept())
	if ls.buckets != nil {
		ls.buckets.Grow(slot)
	}
	names := make([]groups.Name, 0, len(kept.groups))
	for i := range kept.groups {
		names = append(names, h.groups.Name(kept.groups[len(kept.groups)-1-i]))
	}
	if len(names) > 0 {
		t := ls.table(h)
		t.Join(slot, names, len(names))
		ls.grouping.restored(t)
	}
	h.restoreMeta(id, kept)
}

// restoreMeta gives a connection the metadata that it had.
func (h *Hub) restoreMeta(id netpoll.ID, kept *Session) {
	if kept.meta != "" && h.cfg.Meta.Limit() > 0 {
		h.cfg.Meta.Put(uint64(id), h.instance.appendID(nil, id), meta.Recorded(kept.meta))
	}
}

// EndSession sends the close event of a session that could not be taken up, with code 1006.
// expired says that its client has not come back in time; otherwise the gateway is to blame.
func (h *Hub) EndSession(id netpoll.ID, kept *Session, expired bool) {
	end := forward.End{Code: 1006, Reason: forward.Restarted, Initiator: "gateway"}
	if expired {
		end.Reason, end.Initiator = "", netpoll.Disconnected.Initiator()
	}
	h.loops[0].closes.count(end)
	if h.cfg.Forwarder == nil {
		return
	}
	h.restoreMeta(id, kept) // until the event has ended
	src := kept.Source(h, id)
	src.Seq++
	h.cfg.Forwarder.Close(src, end)
}

// Source describes the last event of a session.
func (kept *Session) Source(h *Hub, id netpoll.ID) forward.Source {
	return forward.Source{
		Key: uint64(id), Seq: kept.seq, ConnID: h.instance.appendID(nil, id),
		User: kept.user, Headers: kept.headers, Fresh: kept.fresh,
	}
}
