package forward

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/rs/zerolog"

	"ws-gateway/forward/callback"
	"ws-gateway/hub/groups"
)

// The header fields of an answer that change the groups of its event's connection.
const (
	joinField  = "X-Ws-Join"
	leaveField = "X-Ws-Leave"
)

var errNoGroup = errors.New("it names no group")

// regroups reads what answers say about groups. It counts what cannot be read, and logs
// the first: an app that does it once does it always.
type regroups struct {
	log        zerolog.Logger
	unreadable atomic.Uint64
	once       sync.Once
}

// read returns the groups that the last answer that c has read has the connection join
// and leave. A field that cannot be read counts for nothing, but the other one counts.
func (r *regroups) read(c *callback.Client, id []byte) (join, leave []string) {
	if c.StatusOnly {
		r.unreadable.Add(1) // the log has it already
		return nil, nil
	}
	return r.list(c, joinField, id), r.list(c, leaveField, id)
}

// list returns the names in a field. If the field is repeated its values are one list
// (RFC 9110, section 5.3), so that one wrong name spoils all of them.
func (r *regroups) list(c *callback.Client, field string, id []byte) (names []string) {
	values := c.Fields(field)
	if len(values) == 0 {
		return nil
	}
	var err error
	for _, value := range values {
		if names, err = groups.ParseList(names, string(value)); err != nil {
			break
		}
	}
	if err == nil && len(names) == 0 {
		err = errNoGroup
	}
	if err != nil {
		r.refuse(field, id, err)
		return nil
	}
	return names
}

func (r *regroups) refuse(field string, id []byte, err error) {
	r.unreadable.Add(1)
	r.once.Do(func() {
		r.log.Warn().Bytes("request_id", id).Str("header", field).Err(err).
			Msg("an answer's X-Ws-Join or X-Ws-Leave is not a list of names of groups, each percent-encoded: such change nothing; said once")
	})
}
