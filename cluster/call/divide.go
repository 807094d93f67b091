package call

import (
	"encoding/binary"

	"ws-gateway/cluster/packet"
	"ws-gateway/hub"
)

// UserFields says where the fields of a call's users are, which follow each other: where
// the first begins, and where each ends.
func UserFields(f packet.Fields) (begin uint32, ends []uint32) { return fieldsOf(f, tagUser) }

// GroupFields is UserFields for the groups that are targets.
func GroupFields(f packet.Fields) (begin uint32, ends []uint32) { return fieldsOf(f, tagGroup) }

func fieldsOf(f packet.Fields, of packet.Tag) (begin uint32, ends []uint32) {
	at := uint32(0)
	for tag, field := range f.Each() {
		if tag == of && ends == nil {
			begin = at
		}
		at += uint32(len(field))
		if tag == of {
			ends = append(ends, at)
		}
	}
	return begin, ends
}

// ByOwner takes the connections out of a call's fields, and sorts them by the instance
// that has them: by home of the one that has made their ids. What is no id is in neither.
func ByOwner(f packet.Fields, home func(packet.Instance) packet.Instance) (conns map[packet.Instance]packet.Fields, rest packet.Fields) {
	conns = map[packet.Instance]packet.Fields{}
	for tag, field := range f.Each() {
		if tag != tagConn {
			rest = append(rest, field...)
			continue
		}
		_, n := binary.Uvarint(field[1:])
		if owner, ok := hub.InstanceOf(string(field[1+n:])); ok {
			at := home(owner)
			conns[at] = append(conns[at], field...)
		}
	}
	return conns, rest
}
