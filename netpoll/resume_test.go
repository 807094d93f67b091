package netpoll

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
	"unsafe"

	"ws-gateway/netpoll/wire"
)

// Idle connections are what there is most of.
func TestARecordTakesFortyBytesAndAConnectionNoneForIt(t *testing.T) {
	if record, conn := unsafe.Sizeof(resumable{}), unsafe.Sizeof(Conn{}); record != 40 || conn != 64 {
		t.Errorf("a record takes %d bytes, a connection %d", record, conn)
	}
}

// returns is the Resumer of tests. The name of a connection is its ID, in hex; the user is
// in the header X-User.
type returns struct {
	refuse       Verdict // Admit's
	away         int
	returned     []time.Duration
	acknowledged int
}

func (r *returns) AppendID(dst []byte, id ID) []byte {
	const digits = "0123456789abcdef"
	for _, b := range binary.BigEndian.AppendUint64(nil, uint64(id)) {
		dst = append(dst, digits[b>>4], digits[b&15])
	}
	return dst
}

func (r *returns) ParseID(name []byte) (id ID, ok bool) {
	if len(name) != 16 {
		return 0, false
	}
	for _, c := range name {
		switch {
		case '0' <= c && c <= '9':
			id = id<<4 | ID(c-'0')
		case 'a' <= c && c <= 'f':
			id = id<<4 | ID(c-'a'+10)
		default:
			return 0, false
		}
	}
	return id, true
}

func (r *returns) Identity(_ *Loop, request *wire.Request) []byte {
	user, _ := request.Get("X-User")
	return user
}

func (r *returns) ClientAddr(_ *Loop, q *wire.Request) netip.Addr { return q.Remote.Addr() }

func (r *returns) Admit(*Loop, *wire.Request) Verdict { return r.refuse }
func (r *returns) Away(*Conn)                         { r.away++ }

func (r *returns) Returned(_ *Conn, _ *wire.Request, away time.Duration) {
	r.returned = append(r.returned, away)
}

func (r *returns) Acknowledged(*Conn, bool) { r.acknowledged++ }
