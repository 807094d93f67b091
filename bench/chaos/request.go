package chaos

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// request reads a POST. It trusts the gateway no further than it must: what is odd
// about one is an error, and that is for the audit.
func request(in *bufio.Reader) (post Post, err error) {
	r, err := http.ReadRequest(in)
	if err != nil {
		return post, err
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return post, err
	}
	post.Number, err = strconv.Atoi(r.Header.Get("X-Attempt"))
	if err != nil {
		return post, malformed{fmt.Errorf("X-Attempt is %q", r.Header.Get("X-Attempt"))}
	}
	if post.Events, err = events(body, r.Header.Get("X-Request-Id")); err != nil {
		return post, malformed{err}
	}
	return post, nil
}

// malformed is a request that came whole and is not what it should be.
type malformed struct{ error }

// wire is an event in a POST or in a batch (docs/protocol.md).
type wire struct {
	Action    string `json:"action"`
	User      string `json:"user_name"`
	Conn      string `json:"conn_id"`
	RequestID string `json:"request_id"`
	Code      int    `json:"code"`
	Initiator string `json:"initiator"`
	Data      struct {
		N *int `json:"n"`
	} `json:"data"`
}

// event makes an Event of w. Its number is -1 if it should have one and has none.
func (w *wire) event(id string) Event {
	e := Event{ID: id, Conn: w.Conn, User: w.User, Action: w.Action, Code: w.Code, Initiator: w.Initiator}
	if w.Action == "message" {
		e.Message = -1
		if w.Data.N != nil {
			e.Message = *w.Data.N
		}
	}
	return e
}

// events reads a body: an event, or an array of them.
func events(body []byte, id string) ([]Event, error) {
	if len(body) == 0 || body[0] != '[' {
		var one wire
		if err := json.Unmarshal(body, &one); err != nil {
			return nil, fmt.Errorf("the body of %s: %w", id, err)
		}
		return []Event{one.event(id)}, nil
	}
	var batch []wire
	if err := json.Unmarshal(body, &batch); err != nil {
		return nil, fmt.Errorf("the batch %s: %w", id, err)
	}
	if len(batch) == 0 || batch[0].RequestID != id {
		return nil, fmt.Errorf("the batch %s does not begin with the event that it is named after", id)
	}
	all := make([]Event, len(batch))
	for i := range batch {
		all[i] = batch[i].event(batch[i].RequestID)
	}
	return all, nil
}
