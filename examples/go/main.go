// Command go is a chat behind ws-gateway, with Go's net/http alone.
package main

import (
	"cmp"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

type chat struct {
	secret   string
	gateway  gateway
	handled  handled
	sessions sessions
}

func main() {
	c := &chat{
		secret:   cmp.Or(os.Getenv("CALLBACK_SECRET"), "change me"),
		gateway:  gateway{url: cmp.Or(os.Getenv("GATEWAY"), "http://127.0.0.1:40010"), client: http.Client{Timeout: 5 * time.Second}},
		handled:  handled{ids: map[string]bool{}},
		sessions: sessions(cmp.Or(os.Getenv("SESSION_SECRET"), "change me, too")),
	}
	http.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "../page.html") })
	http.HandleFunc("POST /login", c.login)
	http.HandleFunc("POST /ws/message", c.callback)
	log.Fatal(http.ListenAndServe("127.0.0.1:8888", nil))
}

// login stands for yours: it believes everybody.
func (c *chat) login(w http.ResponseWriter, r *http.Request) {
	if err := c.sessions.begin(w, r.FormValue("user")); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// event is what the gateway posts.
type event struct {
	Action string          `json:"action"`
	User   string          `json:"user_name"`
	Data   json.RawMessage `json:"data"`
}

// message is what clients say and hear.
type message struct {
	Event string `json:"event"`
	Data  any    `json:"data"`
}

type line struct {
	Room string `json:"room,omitempty"`
	User string `json:"user,omitempty"`
	Text string `json:"text,omitempty"`
}

const largest = 8 << 20 // of the gateway's POSTs: 1 MiB from a client, of which JSON may make six

func (c *chat) callback(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, largest))
	if err != nil || !signed(c.secret, r.Header.Get("X-Ws-Signature"), body, time.Now()) {
		w.Header().Set("X-Ws-Error", "signature")
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	var e event
	if err := json.Unmarshal(body, &e); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	switch id := r.Header.Get("X-Request-Id"); e.Action {
	case "open":
		c.open(w, r)
	case "message":
		err = c.message(w, id, e)
	case "close":
		err = c.send(id, "lobby", message{"gone", line{User: e.User}})
	}
	if err != nil { // the gateway sends the event again
		log.Print(err)
		http.Error(w, "later", http.StatusServiceUnavailable)
	}
}

// open decides who may connect: the cookie is the client's.
func (c *chat) open(w http.ResponseWriter, r *http.Request) {
	user := c.sessions.user(r)
	if user == "" {
		http.Error(w, "log in first", http.StatusUnauthorized)
		return
	}
	w.Header().Set("X-Ws-User", user)
	w.Header().Set("X-Ws-Join", "lobby")
	reply(w, message{"welcome", line{User: user}})
}

func (c *chat) message(w http.ResponseWriter, id string, e event) error {
	var said struct {
		Event string
		Data  json.RawMessage
	}
	var l line
	err := json.Unmarshal(e.Data, &said)
	if err == nil && said.Event == "echo" {
		reply(w, message{"echo", said.Data})
		return nil
	}
	if err != nil || json.Unmarshal(said.Data, &l) != nil || !roomName(l.Room) {
		reply(w, message{"error", line{Text: "say join, leave or say, and a room"}})
		return nil
	}
	switch said.Event {
	case "join":
		if err := c.send(id, l.Room, message{"came", line{Room: l.Room, User: e.User}}); err != nil {
			return err
		}
		w.Header().Set("X-Ws-Join", url.PathEscape(l.Room))
		reply(w, message{"joined", line{Room: l.Room}})
	case "leave":
		w.Header().Set("X-Ws-Leave", url.PathEscape(l.Room))
		reply(w, message{"left", line{Room: l.Room}})
	case "say":
		return c.send(id, l.Room, message{"said", line{Room: l.Room, User: e.User, Text: l.Text}})
	default:
		reply(w, message{"error", line{Text: "say join, leave or say, and a room"}})
	}
	return nil
}

// send says something to all who are in a room, once for each event.
func (c *chat) send(id, room string, m message) error {
	return c.handled.once(id, func() error {
		return c.gateway.call("conn/send", map[string]any{"groups": []string{room}, "payload": m})
	})
}

func roomName(s string) bool {
	return s != "" && utf8.RuneCountInString(s) <= 60 && !strings.ContainsFunc(s, unicode.IsControl)
}

// reply answers the gateway with what it is to send to the client.
func reply(w http.ResponseWriter, m message) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(m) // if the gateway does not get it, it asks again
}
