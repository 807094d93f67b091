package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"ws-gateway/cluster/packet"
)

// JetStream's API: what the library asks, and where it does something else.
const (
	apiInfo   = "$JS.API.STREAM.INFO."
	apiCreate = "$JS.API.STREAM.CREATE."
	apiGet    = "$JS.API.STREAM.MSG.GET."
	apiPurge  = "$JS.API.STREAM.PURGE."
)

// Subjects are those on which a journal of app publishes, beside those of the app itself. The
// second one makes the stream, and is not needed where that is there.
func Subjects(app string) []string {
	s := &streams{app: app}
	return []string{apiInfo + s.name(), apiCreate + s.name(), apiGet + s.name(), apiPurge + s.name()}
}

// question asks for a message: the first one of a subject from a sequence number on, or its
// last one.
type question struct {
	From  uint64 `json:"seq,omitempty"`
	Of    string `json:"next_by_subj,omitempty"`
	EndOf string `json:"last_by_subj,omitempty"`
}

// message asks the stream's leader. The library asks any replica if the stream allows that,
// as one does that the command nats has made: a replica that lags behind would hide what others
// have appended.
func (s *streams) message(ctx context.Context, q question) (*jetstream.RawStreamMsg, error) {
	asked, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	reply, err := s.js.Conn().RequestWithContext(ctx, apiGet+s.name(), asked)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message *struct {
			Subject  string `json:"subject"`
			Sequence uint64 `json:"seq"`
			Header   []byte `json:"hdrs"`
			Data     []byte `json:"data"`
		} `json:"message"`
	}
	switch err := json.Unmarshal(reply.Data, &answer); {
	case err != nil:
		return nil, fmt.Errorf("an answer of JetStream: %w", err)
	case answer.Error != nil && answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return nil, jetstream.ErrMsgNotFound
	case answer.Error != nil:
		return nil, answer.Error
	case answer.Message == nil:
		return nil, jetstream.ErrInvalidJetStreamResponse
	}
	m := &jetstream.RawStreamMsg{Subject: answer.Message.Subject, Sequence: answer.Message.Sequence, Data: answer.Message.Data}
	if len(answer.Message.Header) > 0 {
		if m.Header, err = nats.DecodeHeadersMsg(answer.Message.Header); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// from returns the first message of a subject from a sequence number on.
func (s *streams) from(ctx context.Context, subject string, sequence uint64) (*jetstream.RawStreamMsg, error) {
	return s.message(ctx, question{From: sequence, Of: subject})
}

// last returns the last message of a subject.
func (s *streams) last(ctx context.Context, subject string) (*jetstream.RawStreamMsg, error) {
	return s.message(ctx, question{EndOf: subject})
}

// Try finds out whether JetStream is there and lets its user do what a journal of app needs.
// Nothing is changed by it: what it reads and would remove is nobody's, and what it would make
// cannot be read.
func Try(ctx context.Context, conn *nats.Conn, app string) error {
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	s := &streams{js: js, app: app}
	nobody := s.subject(packet.Instance{})
	get, err := json.Marshal(question{EndOf: nobody})
	if err != nil {
		return err
	}
	purge, err := json.Marshal(jetstream.StreamPurgeRequest{Subject: nobody}) // without a subject everything would be purged
	if err != nil {
		return err
	}
	asked := map[string][]byte{apiGet: get, apiPurge: purge}
	switch _, err := js.Stream(ctx, s.name()); {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		asked[apiCreate] = []byte("?")
	case err != nil:
		return err
	}
	for api, body := range asked {
		if _, err := conn.RequestWithContext(ctx, api+s.name(), body); err != nil {
			return err
		}
	}
	return nil
}
