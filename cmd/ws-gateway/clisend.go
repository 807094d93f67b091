package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"unicode/utf8"

	"github.com/mattn/go-isatty"

	"ws-gateway/cmd/ws-gateway/internal/terminal"
	"ws-gateway/cmd/ws-gateway/internal/textfile"
	"ws-gateway/cmd/ws-gateway/settings"
)

// maxPayload is the largest payload that is read: the largest that a gateway can
// be made to take.
const maxPayload = 1 << 30

// sendOptions are what send has.
type sendOptions struct {
	Payload *string  `arg:"" optional:"" help:"The message; without it the file, or standard input, is the message. What begins with { or [ must be JSON."`
	File    string   `short:"f" placeholder:"FILE" help:"Take the message from this file. Of text a line break at the end is dropped."`
	Conn    []string `sep:"none" placeholder:"ID" help:"To this connection; with --user, if it is that user's. Repeatable."`
	User    []string `sep:"none" placeholder:"NAME" help:"To all connections of this user. Repeatable."`
	All     bool     `help:"To every connection."`
	Exclude []string `sep:"none" placeholder:"ID" help:"But not to this connection. Repeatable."`
	Text    bool     `xor:"kind" help:"Send text as it is, also if it looks like JSON and is none."`
	Binary  bool     `xor:"kind" help:"Send a binary message."`
	Report  bool     `help:"Say how many connections were meant, how many took it, and how many were closed because too much waited for them."`
	nobodyOptions
	JSON bool `name:"json" help:"Print the gateway's answer as it is."`
	gatewayOptions
}

// nobodyOptions are for commands that may be for nobody.
type nobodyOptions struct {
	FailIfNone bool `help:"Exit code 4 if no connection is meant."`
}

// exitNobody is the exit code for that.
const exitNobody = 4

// errNobody is what --fail-if-none makes of it.
var errNobody = errors.New("matched 0: no such connection is open; list shows those that are")

// wantsReport is whether the gateway is asked how many were meant: on a terminal
// somebody would like to know if that is nobody.
func (o *nobodyOptions) wantsReport(s *clientIO, asked, asJSON bool) bool {
	return asked || o.FailIfNone || s.notesTerminal && !asJSON
}

// judge tells the user that nobody was meant, unless that has been said.
func (o *nobodyOptions) judge(s *clientIO, matched int, said bool) error {
	switch {
	case matched > 0:
	case o.FailIfNone:
		return errNobody
	case s.notesTerminal && !said:
		s.note("%v", errNobody)
	}
	return nil
}

// sendRequest is the body of the API's send call.
type sendRequest struct {
	Conn     string   `json:"conn_id,omitempty"`
	Conns    []string `json:"conns,omitempty"`
	Users    []string `json:"users,omitempty"`
	All      bool     `json:"all,omitempty"`
	Exclude  []string `json:"exclude,omitempty"`
	Report   bool     `json:"report,omitempty"`
	Encoding string   `json:"encoding"`
	Payload  string   `json:"payload"`
}

func (o *sendOptions) run(ctx context.Context, s *clientIO) error {
	switch {
	case o.All && (len(o.Conn) > 0 || len(o.User) > 0):
		return usagef("--all means everybody: leave --conn and --user out, or --all")
	case !o.All && len(o.Conn) == 0 && len(o.User) == 0:
		return usagef("to whom? --user NAME, --conn ID or --all")
	}
	m, err := o.manager(s.env)
	if err != nil {
		return err
	}
	message, err := o.message(s.in)
	if err != nil {
		return err
	}
	request := sendRequest{
		Users: o.User, All: o.All, Exclude: o.Exclude, Report: o.wantsReport(s, o.Report, o.JSON),
		Encoding: "text", Payload: string(message),
	}
	if request.Conns = o.Conn; len(o.Conn) == 1 {
		request.Conn, request.Conns = o.Conn[0], nil // gateways of before conns know it too
	}
	if o.Binary {
		request.Encoding, request.Payload = "base64", base64.StdEncoding.EncodeToString(message)
	}
	a, err := m.ask(ctx, http.MethodPost, "/tapr/ws/conn/send", nil, request)
	if err != nil {
		return err
	}
	return o.conclude(s, a, request.Report, o.JSON, func(r *clientReport) string {
		if !o.Report {
			return ""
		}
		return fmt.Sprintf("matched %d, queued %d, slow %d", r.Matched, r.Queued, r.Slow)
	})
}

// clientReport is what the gateway says about those who were meant.
type clientReport struct{ Matched, Queued, Slow int }

// conclude prints what came of a command, the whole answer or the line that text
// makes of the report, and judges whether anybody was meant.
func (o *nobodyOptions) conclude(s *clientIO, a *answered, reported, asJSON bool, text func(*clientReport) string) error {
	if asJSON {
		if _, err := fmt.Fprintln(s.out, terminal.PrintableJSON(bytes.TrimSpace(a.raw))); err != nil {
			return err
		}
	}
	if !reported {
		return nil
	}
	var r clientReport
	if a.Data == nil && !o.FailIfNone && text(&r) == "" {
		return nil // nobody has asked, and a gateway of another version does not say
	}
	if err := json.Unmarshal(a.Data, &r); err != nil {
		return fmt.Errorf("the gateway's report cannot be read: %w", err)
	}
	line := text(&r)
	if line != "" && !asJSON {
		if _, err := fmt.Fprintln(s.out, line); err != nil {
			return err
		}
	}
	return o.judge(s, r.Matched, line != "")
}

// message reads what is to be sent.
func (o *sendOptions) message(in *os.File) ([]byte, error) {
	message, err := o.read(in)
	switch {
	case err == nil && len(message) == 0 && o.Payload == nil:
		return nil, usagef("the message is empty: %s has nothing in it; to send an empty message, give '' as the message", o.origin())
	case err != nil || o.Binary:
		return message, err
	case !utf8.Valid(message):
		return nil, usagef("the message is not UTF-8: send it with --binary")
	case o.Text:
		return message, nil
	}
	if start := bytes.TrimLeft(message, " \t\r\n"); len(start) > 0 && (start[0] == '{' || start[0] == '[') && !json.Valid(message) {
		return nil, usagef("the message looks like JSON and is none; mind the shell's quotes, or send it as it is with --text")
	}
	return message, nil
}

// origin is where a message that was not typed comes from.
func (o *sendOptions) origin() string {
	if o.File == "" || o.File == "-" {
		return "standard input"
	}
	return "--file " + o.File
}

func (o *sendOptions) read(in *os.File) ([]byte, error) {
	if o.Payload != nil {
		if o.File != "" {
			return nil, usagef("a message and --file: only one of them can be sent")
		}
		return []byte(*o.Payload), nil
	}
	if o.File != "" && o.File != "-" {
		file, err := os.Open(o.File)
		if err != nil {
			return nil, usagef("--file %q: %v", o.File, textfile.WithoutPath(err))
		}
		defer file.Close()
		in = file
	} else if o.File == "" && isatty.IsTerminal(in.Fd()) {
		return nil, usagef("no message: write it behind the options, name a --file, or pipe it in")
	}
	message, err := io.ReadAll(io.LimitReader(in, maxPayload+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the message: %w", err)
	case len(message) > maxPayload:
		return nil, usagef("the message is larger than %v", settings.Size(maxPayload))
	}
	if !o.Binary {
		message = bytes.TrimSuffix(bytes.TrimSuffix(message, []byte("\n")), []byte("\r"))
	}
	return message, nil
}

// closeOptions are what close has.
type closeOptions struct {
	Conn    []string `sep:"none" placeholder:"ID" help:"Close this connection. Repeatable."`
	User    []string `sep:"none" placeholder:"NAME" help:"Close all connections of this user. Repeatable."`
	All     bool     `help:"Close every connection."`
	Exclude []string `sep:"none" placeholder:"ID" help:"But not this connection. Repeatable."`
	Code    int      `default:"1000" help:"Close code: 1000, or 3000 to 4999."`
	Reason  string   `placeholder:"TEXT" help:"Reason, at most 123 bytes."`
	Report  bool     `help:"Say how many connections were meant."`
	nobodyOptions
	JSON bool `name:"json" help:"Print the gateway's answer as it is."`
	gatewayOptions
}

// closeRequest is the body of the API's close call.
type closeRequest struct {
	Conns   []string `json:"conns,omitempty"`
	Users   []string `json:"users,omitempty"`
	All     bool     `json:"all,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
	Code    int      `json:"code"`
	Reason  string   `json:"reason,omitempty"`
	Report  bool     `json:"report,omitempty"`
}

func (o *closeOptions) run(ctx context.Context, s *clientIO) error {
	switch {
	case o.All && (len(o.Conn) > 0 || len(o.User) > 0):
		return usagef("--all means everybody: leave --conn and --user out, or --all")
	case !o.All && len(o.Conn) == 0 && len(o.User) == 0:
		return usagef("which connections? --user NAME, --conn ID or --all")
	}
	m, err := o.manager(s.env)
	if err != nil {
		return err
	}
	request := closeRequest{o.Conn, o.User, o.All, o.Exclude, o.Code, o.Reason, o.wantsReport(s, o.Report, o.JSON)}
	a, err := m.ask(ctx, http.MethodPost, "/tapr/ws/conn/close", nil, request)
	if err != nil {
		return err
	}
	return o.conclude(s, a, request.Report, o.JSON, func(r *clientReport) string {
		if !o.Report {
			return ""
		}
		return fmt.Sprintf("matched %d", r.Matched)
	})
}
