package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"ws-gateway/cmd/ws-gateway/api"
	"ws-gateway/cmd/ws-gateway/internal/terminal"
)

// checkTargets wants --all or a target. question begins the message if there is neither.
func checkTargets(all bool, conns, users []string, question string) error {
	switch targets := len(conns) + len(users); {
	case all && targets > 0:
		return usagef("--all means everybody: leave --conn and --user out, or --all")
	case !all && targets == 0:
		return usagef("%s --user NAME, --conn ID or --all", question)
	}
	return nil
}

// nobodyOptions are the options of commands that may match no connection.
type nobodyOptions struct {
	FailIfNone bool `help:"Exit code 4 if no connection is meant."`
}

// errNobody is the error of --fail-if-none, and otherwise a note.
var errNobody = errors.New("matched 0: no such connection is open; list shows those that are")

// wantsReport reports whether to ask the gateway how many connections matched. Somebody
// at a terminal wants to know if none did.
func (o *nobodyOptions) wantsReport(s *surroundings, asked, asJSON bool) bool {
	return asked || o.FailIfNone || s.notesTerminal && !asJSON
}

// judge tells the user if no connection matched, unless the output says so.
func (o *nobodyOptions) judge(s *surroundings, matched int, shown bool) error {
	switch {
	case matched > 0:
	case o.FailIfNone:
		return errNobody
	case s.notesTerminal && !shown:
		s.note("%v", errNobody)
	}
	return nil
}

// report is what the gateway says about the connections that matched.
type report struct{ Matched, Queued, Slow int }

// finish prints the result of a command, either the whole answer or the line that text
// makes of the report, and judges whether a connection matched.
func (o *nobodyOptions) finish(s *surroundings, a *api.Answer, reported, asJSON bool, text func(*report) string) error {
	if asJSON {
		if _, err := fmt.Fprintln(s.out, terminal.PrintableJSON(bytes.TrimSpace(a.Raw))); err != nil {
			return err
		}
	}
	if !reported {
		return nil
	}
	var r report
	if a.Data == nil && !o.FailIfNone && text(&r) == "" {
		return nil // the user has not asked, and an older gateway does not report
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
