package demo

import (
	"context"
	"encoding/json"
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
		return a.say(ctx, e)
	}
}

// say passes a chat message on to everybody, or to one user and its author.
func (a *app) say(ctx context.Context, e event) error {
	var chat struct {
		Event string `json:"event"`
		Data  struct {
			Text string `json:"text"`
			To   string `json:"to"`
		} `json:"data"`
	}
	if json.Unmarshal(e.Data, &chat) != nil || chat.Event != "chat" {
		return a.send(ctx, &api.SendCommand{Conn: e.ConnID, Payload: message{"error", "this app only knows the event chat"}})
	}
	command := &api.SendCommand{All: true, Payload: message{"chat", map[string]string{
		"from": e.UserName, "text": chat.Data.Text, "to": chat.Data.To,
	}}}
	if chat.Data.To != "" {
		command.All, command.Users = false, []string{chat.Data.To, e.UserName}
	}
	return a.send(ctx, command)
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
	} `json:"conns"`
}

// handleOnline answers the page with the gateway's list.
func (a *app) handleOnline(w http.ResponseWriter, r *http.Request) {
	var online []onlineUser
	answer, err := a.api.Ask(r.Context(), http.MethodGet, api.PathList, nil, nil)
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
	_, err := a.api.Send(ctx, command)
	return err
}
