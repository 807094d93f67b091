package cli

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"github.com/mattn/go-isatty"

	"ws-gateway/cmd/ws-gateway/api"
	"ws-gateway/cmd/ws-gateway/internal/textfile"
	"ws-gateway/cmd/ws-gateway/settings"
)

// maxPayload is the largest payload that is read: no gateway can be configured to take
// more.
const maxPayload = 1 << 30

// sendOptions are the options of send.
type sendOptions struct {
	Payload *string  `arg:"" optional:"" help:"The message; without it the file, or standard input, is the message. What begins with { or [ must be JSON."`
	File    string   `short:"f" placeholder:"FILE" help:"Take the message from this file. Of text a line break at the end is dropped."`
	Conn    []string `sep:"none" placeholder:"ID" help:"To this connection; with --user, if it is that user's. Repeatable."`
	User    []string `sep:"none" placeholder:"NAME" help:"To all connections of this user. Repeatable."`
	Group   []string `sep:"none" placeholder:"NAME" help:"To all connections in this group; to those in several groups once. Repeatable."`
	All     bool     `help:"To every connection."`
	Exclude []string `sep:"none" placeholder:"ID" help:"But not to this connection. Repeatable."`
	Text    bool     `xor:"kind" help:"Send text as it is, also if it looks like JSON and is none."`
	Binary  bool     `xor:"kind" help:"Send a binary message."`
	Report  bool     `help:"Say how many connections were meant, how many took it, and how many were closed because too much waited for them."`
	nobodyOptions
	changeScope
	JSON bool `name:"json" help:"Print the gateway's answer as it is."`
	gatewayOptions
}

func (o *sendOptions) run(ctx context.Context, s *surroundings) error {
	if err := (targets{o.All, o.Conn, o.User, o.Group}).check("to whom?"); err != nil {
		return err
	}
	g, err := o.gateway(s)
	if err != nil {
		return err
	}
	message, err := o.message(s.in)
	if err != nil {
		return err
	}
	request := api.SendCommand{
		Users: o.User, Groups: o.Group, All: o.All, Exclude: o.Exclude, Report: o.wantsReport(s, o.Report, o.JSON), Scope: o.scope(),
		Encoding: "text", Payload: string(message),
	}
	if request.Conns = o.Conn; len(o.Conn) == 1 {
		request.Conn, request.Conns = o.Conn[0], nil // older gateways do not know conns
	}
	if o.Binary {
		request.Encoding, request.Payload = "base64", base64.StdEncoding.EncodeToString(message)
	}
	a, err := g.answer(g.Send(ctx, &request))
	return o.finish(s, a, err, request.Report, o.JSON, nobodyIn(o.Group), func(r *report) string {
		if !o.Report {
			return ""
		}
		text := fmt.Sprintf("matched %d, queued %d, slow %d", r.Matched, r.Queued, r.Slow)
		if r.Away > 0 {
			text += fmt.Sprintf(", away %d", r.Away)
		}
		return text
	})
}

// message reads the message.
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

// origin is where the message is read from.
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
