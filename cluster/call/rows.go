package call

import (
	"encoding/binary"
	"math"
	"time"

	"ws-gateway/hub"
)

// A row is the id, user, agent, address and metadata of a connection, each with its length before
// it, when it connected, in nanoseconds since 1970, and 1 if it is away, otherwise 0. A group is its name and how
// many connections are in it. Numbers are varints.

// AppendRow appends a connection to a payload.
func AppendRow(dst []byte, c *hub.Info) []byte {
	for _, s := range [...]string{c.ID, c.User, c.UserAgent, c.RemoteAddr, c.Meta} {
		dst = AppendName(dst, s)
	}
	dst = binary.AppendVarint(dst, c.ConnectedAt.UnixNano())
	if c.Away {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// AppendName appends a name.
func AppendName(dst []byte, name string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(name))), name...)
}

// AppendGroup appends a group.
func AppendGroup(dst []byte, g *hub.Group) []byte {
	return binary.AppendUvarint(AppendName(dst, g.Name), uint64(g.Connections))
}

// Reader takes a payload apart. After the first error it returns zeros.
type Reader struct {
	rest   []byte
	failed bool
}

// NewReader reads a payload.
func NewReader(payload []byte) *Reader { return &Reader{rest: payload} }

// More reports whether there is something left, which is not after an error.
func (r *Reader) More() bool { return len(r.rest) > 0 }

// Err returns nil, or ErrMalformed.
func (r *Reader) Err() error {
	if r.failed {
		return ErrMalformed
	}
	return nil
}

func (r *Reader) fail() { r.rest, r.failed = nil, true }

// Name reads a name, which is copied.
func (r *Reader) Name() string {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 || n > uint64(len(r.rest)-size) {
		r.fail()
		return ""
	}
	name := string(r.rest[size : size+int(n)])
	r.rest = r.rest[size+int(n):]
	return name
}

// Row reads a connection.
func (r *Reader) Row() (c hub.Info) {
	c.ID, c.User, c.UserAgent, c.RemoteAddr, c.Meta = r.Name(), r.Name(), r.Name(), r.Name(), r.Name()
	at, size := binary.Varint(r.rest)
	if size <= 0 || size == len(r.rest) || r.rest[size] > 1 {
		r.fail()
		return hub.Info{}
	}
	c.ConnectedAt, c.Away = time.Unix(0, at), r.rest[size] == 1
	r.rest = r.rest[size+1:]
	return c
}

// Group reads a group.
func (r *Reader) Group() (g hub.Group) {
	g.Name = r.Name()
	n, size := binary.Uvarint(r.rest)
	if size <= 0 || n > math.MaxInt64/(2*maxInstances) {
		r.fail()
		return hub.Group{}
	}
	r.rest = r.rest[size:]
	g.Connections = int(n)
	return g
}

// Word reads 8 bytes.
func (r *Reader) Word() uint64 {
	if len(r.rest) < 8 {
		r.fail()
		return 0
	}
	w := binary.BigEndian.Uint64(r.rest)
	r.rest = r.rest[8:]
	return w
}
