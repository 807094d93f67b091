package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// This file is what an app needs to talk to the gateway, whatever it does: take it.

// signed reports whether header, X-Ws-Signature, signs the body: its bytes as they came.
func signed(secret, header string, body []byte, now time.Time) bool {
	stamp, matches := "", false
	for part := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "t":
			stamp = value
		case "v1": // several while the secret is changed
			mac := hmac.New(sha256.New, []byte(secret))
			mac.Write([]byte(stamp + "."))
			mac.Write(body)
			signature, err := hex.DecodeString(value)
			matches = matches || err == nil && hmac.Equal(signature, mac.Sum(nil))
		}
	}
	sent, err := strconv.ParseInt(stamp, 10, 64)
	return matches && err == nil && now.Sub(time.Unix(sent, 0)).Abs() < 5*time.Minute
}

// handled remembers events, so that the app does not act twice on one that comes again
// because its answer was lost. It forgets the oldest.
type handled struct {
	mu  sync.Mutex
	ids map[string]bool
	old []string // the same, oldest first
}

const remembered = 10_000

// once calls act unless that has succeeded for the id. Two attempts of an event never
// overlap as long as act takes less time than --callback-timeout.
func (h *handled) once(id string, act func() error) error {
	h.mu.Lock()
	known := h.ids[id]
	h.mu.Unlock()
	if known {
		return nil
	}
	if err := act(); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ids[id] = true
	h.old = append(h.old, id)
	if len(h.old) > remembered {
		delete(h.ids, h.old[0])
		h.old = h.old[1:]
	}
	return nil
}

// gateway is its management API.
type gateway struct {
	url    string
	client http.Client
}

// call posts a command, such as conn/send, and returns an error unless it was done.
func (g *gateway) call(route string, command any) error {
	body, err := json.Marshal(command)
	if err != nil {
		return err
	}
	response, err := g.client.Post(g.url+"/tapr/ws/"+route, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer struct {
		Code    int
		Message string
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s: %s: %w", route, response.Status, err)
	}
	if answer.Code != 0 {
		return fmt.Errorf("%s: %s (%d)", route, answer.Message, answer.Code)
	}
	return nil
}
