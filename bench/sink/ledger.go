package sink

import (
	"bytes"
	"errors"
	"fmt"

	"ws-gateway/bench/load"
)

// ledger reads events as they are POSTed and holds each connection's messages
// against what the load client sends: the right bytes, numbered without a gap,
// always from the same connection of the gateway.
type ledger struct {
	message *load.Message
	conns   []entry // by the number in the mark

	open, messages, closed uint64
	received               func(conn uint32) // is told of each right message; nil: nobody is
}

// entry is what a connection's next message must be like.
type entry struct {
	seq uint32
	id  string // conn_id; "" until its first message
}

const mostConns = 1 << 20

var (
	dataKey     = []byte(`{"data":`)
	openEvent   = []byte(`{},"action":"open",`)
	closeEvent  = []byte(`{},"action":"close",`)
	messageTail = []byte(`,"action":"message",`)
	connKey     = []byte(`"conn_id":"`)

	errShape = errors.New("it is not the shape of an event")
)

// body takes the body of a POST: an event, or an array of them. Events before
// the first wrong one count.
func (l *ledger) body(data []byte) error {
	if len(data) == 0 || data[0] != '[' {
		rest, err := l.event(data)
		if err == nil && len(rest) > 0 {
			err = errShape
		}
		return err
	}
	for data = data[1:]; ; data = data[1:] {
		var err error
		if data, err = l.event(data); err != nil {
			return err
		}
		switch {
		case len(data) == 1 && data[0] == ']':
			return nil
		case len(data) == 0 || data[0] != ',':
			return errShape
		}
	}
}

// event takes the event at the beginning of data and returns what follows it.
func (l *ledger) event(data []byte) (rest []byte, err error) {
	body, found := bytes.CutPrefix(data, dataKey)
	if !found {
		return nil, errShape
	}
	switch {
	case bytes.HasPrefix(body, openEvent):
		l.open++
		return skipObject(data)
	case bytes.HasPrefix(body, closeEvent):
		l.closed++
		return skipObject(data)
	}
	size := l.message.Size()
	if len(body) < size || !bytes.HasPrefix(body[size:], messageTail) {
		return nil, errShape
	}
	conn, seq, ok := l.message.Parse(body[:size])
	if !ok {
		return nil, fmt.Errorf("the message is not what was sent: %.200q", body[:size])
	}
	after := body[size+len(messageTail):]
	end := bytes.IndexByte(after, '}') // in no name and no id of this benchmark
	if end < 0 {
		return nil, errShape
	}
	_, id, found := bytes.Cut(after[:end], connKey)
	id, _, closed := bytes.Cut(id, []byte(`"`))
	if !found || !closed || len(id) == 0 {
		return nil, errShape
	}
	if err := l.enter(conn, seq, id); err != nil {
		return nil, err
	}
	return after[end+1:], nil
}

// enter holds a message against its connection's entry.
func (l *ledger) enter(conn, seq uint32, id []byte) error {
	if conn >= mostConns {
		return fmt.Errorf("the message is of connection %d, which there is not", conn)
	}
	if missing := int(conn) + 1 - len(l.conns); missing > 0 {
		l.conns = append(l.conns, make([]entry, missing)...)
	}
	e := &l.conns[conn]
	if e.id == "" {
		e.id = string(id)
	}
	if string(id) != e.id {
		return fmt.Errorf("message %d of connection %d came from %.40q, the earlier ones from %.40q", seq, conn, id, e.id)
	}
	if seq != e.seq {
		return fmt.Errorf("connection %d: message %d came where %d was due", conn, seq, e.seq)
	}
	e.seq++
	l.messages++
	if l.received != nil {
		l.received(conn)
	}
	return nil
}

// skipObject returns what follows the JSON object at the beginning of data.
func skipObject(data []byte) (rest []byte, err error) {
	depth, quoted := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{':
			depth++
		case c == '}':
			if depth--; depth == 0 {
				return data[i+1:], nil
			}
		}
	}
	return nil, errShape
}
