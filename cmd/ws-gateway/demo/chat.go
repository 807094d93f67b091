package demo

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"ws-gateway/cmd/ws-gateway/api"
)

// event is what the gateway POSTs.
type event struct {
	Action   string          `json:"action"`
	UserName string          `json:"user_name"`
	ConnID   string          `json:"conn_id"`
	Data     json.RawMessage `json:"data"`
}

// message is what the page and the app send each other.
type message struct {
	Event string `json:"event"`
	Data  any    `json:"data"`
}

// handleEvent takes one event. It answers 204 even if the chat fails: after another
// status the gateway would send the event again.
func (a *app) handleEvent(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 8<<20))
	var e event
	if err == nil {
		err = json.Unmarshal(body, &e)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	a.feed.publish(feedEntry{
		Time:      time.Now().UnixMilli(),
		RequestID: r.Header.Get("X-Request-Id"),
		Attempt:   r.Header.Get("X-Attempt"),
		Body:      body,
	})
	if err := a.act(r.Context(), e); err != nil {
		a.log.Warn().Err(err).Str("action", e.Action).Str("conn_id", e.ConnID).Msg("demo app: the gateway's API")
	}
	w.WriteHeader(http.StatusNoContent)
}

// act does what the chat does with an event.
func (a *app) act(ctx context.Context, e event) error {
	switch e.Action {
	case "open":
		welcome := message{"welcome", map[string]string{"user": e.UserName, "conn_id": e.ConnID}}
		if err := a.send(ctx, &api.SendCommand{Conn: e.ConnID, Payload: welcome}); err != nil {
			return err
		}
		return a.tellOnlineChanged(ctx)
	case "close":
		return a.tellOnlineChanged(ctx)
	default:
		return a.answer(ctx, e)
	}
}

// said is what a page says.
type said struct {
	Event string `json:"event"`
	Data  struct {
		Text string `json:"text"` // of chat
		To   string `json:"to"`   // of chat: one user alone
		Room string `json:"room"` // of join, leave and chat: its members alone
		N    int    `json:"n"`    // of number
	} `json:"data"`
}

// answer does what a page wants.
func (a *app) answer(ctx context.Context, e event) error {
	var s said
	if json.Unmarshal(e.Data, &s) != nil {
		s.Event = "" // it is none of the following
	}
	switch s.Event {
	case "chat":
		return a.say(ctx, e, s)
	case "join", "leave":
		return a.changeRoom(ctx, e, s)
	case "number":
		return a.send(ctx, &api.SendCommand{Conn: e.ConnID, Payload: number("counted", s.Data.N)})
	}
	return a.fail(ctx, e, "this app knows the events chat, join, leave and number")
}

// say passes a chat message on to everybody, to one user and its author, or to a room.
func (a *app) say(ctx context.Context, e event, s said) error {
	command := &api.SendCommand{All: true, Payload: message{"chat", map[string]string{
		"from": e.UserName, "text": s.Data.Text, "to": s.Data.To, "room": s.Data.Room,
	}}}
	switch {
	case s.Data.Room != "":
		command.All, command.Groups = false, []string{s.Data.Room}
	case s.Data.To != "":
		command.All, command.Users = false, []string{s.Data.To, e.UserName}
	}
	answer, err := a.sent(ctx, command)
	if a.instances != nil && answer != nil {
		a.feed.publish(feedEntry{Time: time.Now().UnixMilli(), Answer: answer.Raw})
	}
	return err
}

// changeRoom puts a connection into a room or takes it out of one. A room is a group of
// the gateway, which knows its members and forgets those that are gone. The members are
// told; who leaves is told too.
func (a *app) changeRoom(ctx context.Context, e event, s said) error {
	change, done := a.api.Join, "joined"
	if s.Event == "leave" {
		change, done = a.api.Leave, "left"
	}
	_, err := change(ctx, &api.GroupCommand{Groups: []string{s.Data.Room}, Conns: []string{e.ConnID}})
	if refused, ok := errors.AsType[*api.Refusal](err); ok && refused.Code == http.StatusBadRequest {
		return a.fail(ctx, e, refused.Message) // a room cannot have this name, or there are too many
	}
	if err != nil {
		return err
	}
	told := message{done, map[string]string{"user": e.UserName, "conn_id": e.ConnID, "room": s.Data.Room}}
	if s.Event == "leave" {
		if err := a.send(ctx, &api.SendCommand{Conn: e.ConnID, Payload: told}); err != nil {
			return err
		}
	}
	return a.send(ctx, &api.SendCommand{Groups: []string{s.Data.Room}, Payload: told})
}

// fail tells a page what cannot be done.
func (a *app) fail(ctx context.Context, e event, why string) error {
	return a.send(ctx, &api.SendCommand{Conn: e.ConnID, Payload: message{"error", why}})
}

// tellOnlineChanged makes the pages ask for the list. If it sent the list, an older one
// could overtake a newer one, since events of two connections are handled at the same
// time.
func (a *app) tellOnlineChanged(ctx context.Context) error {
	return a.send(ctx, &api.SendCommand{All: true, Payload: message{"online", map[string]any{}}})
}

// onlineUser is a user in the gateway's list, as the page gets it.
type onlineUser struct {
	Name  string `json:"name"`
	Conns []struct {
		ID        string `json:"id"`
		UserAgent string `json:"userAgent"`
		Away      bool   `json:"away,omitempty"` // its line is cut, and its session waits
	} `json:"conns"`
}

// handleOnline answers the page with the gateway's list.
func (a *app) handleOnline(w http.ResponseWriter, r *http.Request) {
	var online []onlineUser
	answer, err := a.api.List(r.Context(), nil)
	if err == nil {
		err = json.Unmarshal(answer.Data, &online)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(online)
}

// handleClose closes a connection, as an app does that throws a user out.
func (a *app) handleClose(w http.ResponseWriter, r *http.Request) {
	conn := r.FormValue("conn_id")
	if conn == "" {
		http.Error(w, "conn_id is missing", http.StatusBadRequest)
		return
	}
	_, err := a.api.CloseConnections(r.Context(), &api.CloseCommand{Conns: []string{conn}, Code: 4001, Reason: "closed by the app"})
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (a *app) send(ctx context.Context, command *api.SendCommand) error {
	_, err := a.sent(ctx, command)
	return err
}

// sent sends a message. That instances are missing is no error of the chat: the others
// have got it.
func (a *app) sent(ctx context.Context, command *api.SendCommand) (*api.Answer, error) {
	answer, err := a.api.Send(ctx, command)
	if _, partly := errors.AsType[*api.Incomplete](err); err != nil && !partly {
		return nil, err
	}
	return answer, nil
}
