package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"ws-gateway/cmd/ws-gateway/internal/terminal"
)

// event is a line of the stream of live events.
type event struct {
	Time       time.Time       `json:"time"`
	Action     string          `json:"action"`
	User       string          `json:"user_name"`
	Conn       string          `json:"conn_id"`
	RemoteAddr string          `json:"remote_addr"`
	Away       int64           `json:"away_ms"`
	Size       int             `json:"size"`
	Data       json.RawMessage `json:"data"`
	Encoding   string          `json:"encoding"`
	Truncated  bool            `json:"truncated"`
	Code       int             `json:"code"`
	Reason     string          `json:"reason"`
	Initiator  string          `json:"initiator"`
	Trace      string          `json:"traceparent"`
	Dropped    uint64          `json:"dropped"`
	Instance   string          `json:"instance"` // of a cluster
	Missing    []string        `json:"missing"`
}

var actionColors = map[string]string{"open": green, "message": cyan, "send": blue, "close": yellow, "ping": dim, "away": yellow, "resumed": green}

// describe is an event as a line for people.
func (s *surroundings) describe(e *event) string {
	if e.Dropped > 0 {
		text := fmt.Sprintf("… %s left out; --rate shows more", terminal.Plural(int(e.Dropped), "event"))
		return s.paint(dim, strings.Join(terminal.Wrap(text, s.width, "", gap), "\n"))
	}
	clock := e.Time.Format("2006-01-02T15:04:05.000Z07:00")
	if s.outTerminal {
		clock = e.Time.Local().Format("15:04:05.000")
	}
	color := actionColors[e.Action]
	if e.Action == "close" && (e.Initiator == "gateway" || e.Initiator == "network") {
		color = red
	}
	head := s.paint(dim, clock) + " " + s.paint(color, terminal.Pad(terminal.Printable(e.Action), 7))
	if s.width > 0 && s.width < eventColumns {
		return head + s.below(shownUser(e.User)) + s.below(terminal.Printable(e.Conn)) + s.below(e.detail())
	}
	where := terminal.Printable(e.Conn)
	if e.Instance != "" {
		where += " at " + terminal.Printable(e.Instance)
	}
	return fmt.Sprintf("%s %s %s %s", head, terminal.Pad(shownUser(e.User), 12), s.paint(dim, where), e.detail())
}

// eventColumns is what an event takes in one line, without its payload. On narrower
// terminals each part has lines of its own.
const eventColumns = 80

// below is text in lines of its own.
func (s *surroundings) below(text string) string {
	return "\n" + strings.Join(terminal.Wrap(text, s.width, gap, gap), "\n")
}

// detail is what events of this action have and others do not.
func (e *event) detail() string {
	switch e.Action {
	case "open":
		return "from " + terminal.Printable(e.RemoteAddr)
	case "away":
		return "connection lost"
	case "resumed":
		return fmt.Sprintf("from %s after %v", terminal.Printable(e.RemoteAddr), time.Duration(e.Away)*time.Millisecond)
	case "close":
		text := fmt.Sprintf("%d by %s", e.Code, terminal.Printable(e.Initiator))
		if e.Reason != "" {
			text += ": " + terminal.Printable(e.Reason)
		}
		return text
	}
	text := fmt.Sprintf("%d B", e.Size)
	if e.Trace != "" {
		text += ", " + terminal.Printable(e.Trace)
	}
	if e.Data == nil {
		return text
	}
	data := terminal.PrintableJSON(e.Data)
	var plain string
	if e.Encoding == "text" && json.Unmarshal(e.Data, &plain) == nil {
		data = terminal.Printable(plain)
	} else if e.Encoding != "" {
		data = e.Encoding + " " + strings.Trim(data, `"`)
	}
	if e.Truncated {
		data += "…"
	}
	return text + "  " + data
}
