package abuse

import "fmt"

// Counts are what an attacker has done, and what it saw the server do.
type Counts struct {
	Dialled   uint64 `json:"dialled"`
	Upgraded  uint64 `json:"upgraded"` // handshakes that were answered with 101
	Sent      uint64 `json:"sent"`     // frames, or requests that are no handshakes of ours
	SentBytes uint64 `json:"sent_bytes"`
	GotBytes  uint64 `json:"got_bytes"` // handshakes are in neither
	Hangups   uint64 `json:"hangups"`   // connections that the attacker ended itself
	Ended     uint64 `json:"ended"`     // connections that the server ended, or the transport
	Skipped   uint64 `json:"skipped"`   // turns that were left out to keep to the rate
	Failed    uint64 `json:"failed"`    // connections that could not be dialled
	Failure   string `json:"failure,omitempty"`

	// Answers counts responses to handshakes by HTTP status, and close frames that
	// came first in what was read, by code.
	Answers map[string]uint64 `json:"answers"`
}

func (c *Counts) fail(err error) {
	c.Failed++
	if c.Failure == "" {
		c.Failure = err.Error()
	}
}

// answered counts what has come by what it is: a status line or a close frame.
func (c *Counts) answered(data []byte) {
	switch {
	case len(data) >= 12 && string(data[:7]) == "HTTP/1.":
		c.Answers["HTTP "+string(data[9:12])]++
	case len(data) >= 4 && data[0] == fin|opClose && data[1] >= 2:
		c.Answers[fmt.Sprintf("close %d", int(data[2])<<8|int(data[3]))]++
	}
}
