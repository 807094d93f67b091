package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"
)

// gatewayAPI is an app's side of the management API: three calls.
type gatewayAPI struct {
	base  string
	token string
	http  *http.Client
}

func newGatewayAPI(place gatewayPlace) *gatewayAPI {
	transport := &http.Transport{MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute}
	if place.socket != "" {
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", place.socket)
		}
	}
	return &gatewayAPI{place.api, place.token, &http.Client{Transport: transport, Timeout: 5 * time.Second}}
}

// sendCommand is the body of a send: to one connection, to users or to all.
type sendCommand struct {
	Payload any      `json:"payload"`
	ConnID  string   `json:"conn_id,omitempty"`
	Users   []string `json:"users,omitempty"`
	All     bool     `json:"all,omitempty"`
}

func (a *gatewayAPI) send(ctx context.Context, command sendCommand) error {
	return a.call(ctx, http.MethodPost, "send", command, nil)
}

// closeCommand is the body of a close.
type closeCommand struct {
	Conns  []string `json:"conns"`
	Code   int      `json:"code"`
	Reason string   `json:"reason"`
}

func (a *gatewayAPI) close(ctx context.Context, command closeCommand) error {
	return a.call(ctx, http.MethodPost, "close", command, nil)
}

// onlineUser is one entry of a list.
type onlineUser struct {
	Name  string `json:"name"`
	Conns []struct {
		ID        string `json:"id"`
		UserAgent string `json:"userAgent"`
	} `json:"conns"`
}

func (a *gatewayAPI) list(ctx context.Context) (online []onlineUser, err error) {
	return online, a.call(ctx, http.MethodGet, "list", nil, &online)
}

// call makes one call. The gateway answers 200 also to a command that it cannot
// carry out; what counts is the code in the answer.
func (a *gatewayAPI) call(ctx context.Context, method, verb string, command, data any) error {
	var body bytes.Buffer
	if command != nil {
		if err := json.NewEncoder(&body).Encode(command); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, a.base+"/tapr/ws/conn/"+verb, &body)
	if err != nil {
		return err
	}
	if a.token != "" {
		request.Header.Set("Authorization", "Bearer "+a.token)
	}
	response, err := a.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer := struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
		Data    any    `json:"data"`
	}{Data: data}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s: %s: %w", verb, response.Status, err)
	}
	if answer.Code != 0 || response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: code %d: %s", verb, response.Status, answer.Code, answer.Message)
	}
	return nil
}
