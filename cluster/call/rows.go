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

// Rows takes a payload apart. After the first error it returns zeros.
type Rows struct {
	rest   []byte
	failed bool
}

// NewRows reads a payload.
func NewRows(payload []byte) *Rows { return &Rows{rest: payload} }

// More reports whether there is something left, which is not after an error.
func (r *Rows) More() bool { return len(r.rest) > 0 }

// Err returns nil, or ErrMalformed.
func (r *Rows) Err() error {
	if r.failed {
		return ErrMalformed
	}
	return nil
}

func (r *Rows) fail() { r.rest, r.failed = nil, true }

// Name reads a name, which is copied.
func (r *Rows) Name() string {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 || n > uint64(len(r.rest)-size) {
		r.fail()
		return ""
	}
	name := string(r.rest[size : size+int(n)])
	r.rest = r.rest[size+int(n):]
	return name
}

// signed reads a number that may be below 0.
func (r *Rows) signed() int64 {
	n, size := binary.Varint(r.rest)
	if size <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

// number reads a number up to most.
func (r *Rows) number(most uint64) uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 || n > most {
		r.fail()
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

// Row reads a connection.
func (r *Rows) Row() (c hub.Info) {
	c.ID, c.User, c.UserAgent, c.RemoteAddr, c.Meta = r.Name(), r.Name(), r.Name(), r.Name(), r.Name()
	c.ConnectedAt = time.Unix(0, r.signed())
	c.Away = r.number(1) == 1
	if r.failed {
		return hub.Info{}
	}
	return c
}

// Group reads a group.
func (r *Rows) Group() (g hub.Group) {
	g.Name = r.Name()
	g.Connections = int(r.number(math.MaxInt64 / (2 * maxInstances)))
	if r.failed {
		return hub.Group{}
	}
	return g
}

// Word reads 8 bytes.
func (r *Rows) Word() uint64 {
	if len(r.rest) < 8 {
		r.fail()
		return 0
	}
	w := binary.BigEndian.Uint64(r.rest)
	r.rest = r.rest[8:]
	return w
}
