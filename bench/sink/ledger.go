package sink

import (
	"bytes"
	"errors"
	"fmt"

	"ws-gateway/bench/contract"
	"ws-gateway/bench/load"
)

// ledger reads events as they are POSTed and holds each connection's against the
// contract, and its messages against what the load client sends: the right bytes,
// always from the same connection of the gateway. Messages have their number in their
// mark, opens and closes have none and take the one that is due.
type ledger struct {
	message *load.Message
	byID    map[string]*account // that have opened; nil until the first has
	byMark  []*account          // by the number in the mark; nil until the first message

	open, messages, closed uint64
	received               func(conn uint32) // is told of each right message; nil: nobody is
}

// account is what is kept of a connection.
type account struct {
	contract.Life
	id     string // conn_id
	marked bool   // a message has said which of the load client's connections it is
}

const mostConns = 1 << 20

var (
	dataKey     = []byte(`{"data":`)
	openTail    = []byte(`{},"action":"open",`)
	closeTail   = []byte(`{},"action":"close",`)
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
	size := l.message.Size()
	if len(body) < size || !bytes.HasPrefix(body[size:], messageTail) {
		if after, found := bytes.CutPrefix(body, openTail); found {
			return l.turn(data, after, contract.Open, &l.open)
		}
		if after, found := bytes.CutPrefix(body, closeTail); found {
			return l.turn(data, after, contract.Close, &l.closed)
		}
		return nil, errShape
	}
	conn, seq, ok := l.message.Parse(body[:size])
	if !ok {
		return nil, fmt.Errorf("the message is not what was sent: %.200q", body[:size])
	}
	id, rest := idIn(body[size+len(messageTail):])
	if id == nil {
		return nil, errShape
	}
	if err := l.enter(conn, seq, id); err != nil {
		return nil, err
	}
	return rest, nil
}

// idIn finds the conn_id in what follows an event's action, and what follows the next
// brace, which is in no name and no id of this benchmark. id is nil if there is none.
func idIn(after []byte) (id, rest []byte) {
	end := bytes.IndexByte(after, '}')
	if end < 0 {
		return nil, nil
	}
	_, id, found := bytes.Cut(after[:end], connKey)
	length := bytes.IndexByte(id, '"')
	if !found || length < 1 {
		return nil, nil
	}
	return id[:length], after[end+1:]
}

// turn takes an open or a close, which stands at the beginning of data.
func (l *ledger) turn(data, after []byte, kind contract.Kind, count *uint64) (rest []byte, err error) {
	id, _ := idIn(after)
	if id == nil {
		return nil, errShape
	}
	if rest, err = skipObject(data); err != nil {
		return nil, err
	}
	a := l.byID[string(id)]
	if a == nil {
		if len(l.byID) == mostConns {
			return nil, fmt.Errorf("more than %d connections have opened", mostConns)
		}
		if l.byID == nil {
			l.byID = make(map[string]*account)
		}
		a = &account{id: string(id)}
		l.byID[a.id] = a
	}
	if breach := a.Take(kind, a.Due()); breach != contract.None {
		return nil, fmt.Errorf("an event of %.40q %v", id, breach)
	}
	*count++
	return rest, nil
}

// enter holds a message against its connection's account.
func (l *ledger) enter(conn, seq uint32, id []byte) error {
	if conn >= mostConns {
		return fmt.Errorf("the message is of connection %d, which there is not", conn)
	}
	if missing := int(conn) + 1 - len(l.byMark); missing > 0 {
		l.byMark = append(l.byMark, make([]*account, missing)...)
	}
	a := l.byMark[conn]
	if a == nil {
		if a = l.byID[string(id)]; a == nil {
			return fmt.Errorf("message %d of connection %d came before the open of %.40q", seq, conn, id)
		}
		if a.marked {
			return fmt.Errorf("message %d of connection %d came from %.40q, which is another's", seq, conn, id)
		}
		l.byMark[conn], a.marked = a, true
	}
	if string(id) != a.id {
		return fmt.Errorf("message %d of connection %d came from %.40q, the earlier ones from %.40q", seq, conn, id, a.id)
	}
	if breach := a.Take(contract.Message, uint64(seq)+2); breach != contract.None { // the open is 1, message 0 is 2
		return fmt.Errorf("message %d of connection %d %v", seq, conn, breach)
	}
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
