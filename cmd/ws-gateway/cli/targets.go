package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"ws-gateway/cmd/ws-gateway/api"
	"ws-gateway/cmd/ws-gateway/internal/terminal"
)

// targets are the connections that a command is for.
type targets struct {
	all                  bool
	conns, users, groups []string
}

// check wants one kind of target. question begins the message if there is none.
func (t targets) check(question string) error {
	switch others := len(t.conns) + len(t.users); {
	case t.all && others+len(t.groups) > 0:
		return usagef("--all means everybody: leave the other targets out, or --all")
	case others > 0 && len(t.groups) > 0:
		return usagef("--group means all connections in the group: leave --conn and --user out, or --group")
	case !t.all && others+len(t.groups) == 0:
		return usagef("%s --user NAME, --conn ID, --group NAME or --all", question)
	}
	return nil
}

// nobodyOptions are the options of commands that may match no connection.
type nobodyOptions struct {
	FailIfNone bool `help:"Exit code 4 if no connection is meant."`
}

// errNobody is the error of --fail-if-none, and otherwise a note.
var errNobody = errors.New("matched 0: no such connection is open; list shows those that are")

// errNoMember is errNobody if groups were named.
var errNoMember = advised{errNobody, "matched 0: nobody is in such a group; groups shows those that somebody is in"}

func nobodyIn(groups []string) error {
	if len(groups) > 0 {
		return errNoMember
	}
	return errNobody
}

// wantsReport reports whether to ask the gateway how many connections matched. Somebody
// at a terminal wants to know if none did.
func (o *nobodyOptions) wantsReport(s *surroundings, asked, asJSON bool) bool {
	return asked || o.FailIfNone || s.notesTerminal && !asJSON
}

// judge tells the user with nobody if no connection matched, unless the output says so.
func (o *nobodyOptions) judge(s *surroundings, matched int, shown bool, nobody error) error {
	switch {
	case matched > 0:
	case o.FailIfNone:
		return nobody
	case s.notesTerminal && !shown:
		s.note("%v", nobody)
	}
	return nil
}

// report is what the gateway says about the connections that matched.
type report struct{ Matched, Queued, Slow, Away int }

// matchedIf is for finish: how many connections were meant, if the user has asked.
func matchedIf(asked bool) func(*report) string {
	return func(r *report) string {
		if !asked {
			return ""
		}
		return fmt.Sprintf("matched %d", r.Matched)
	}
}

// finish prints the result of a command, either the whole answer or the line that text
// makes of the report, and judges whether a connection matched. failed is the error that
// came with the answer, or instead of it: it is returned once the answer is printed.
func (o *nobodyOptions) finish(s *surroundings, a *api.Answer, failed error, reported, asJSON bool, nobody error, text func(*report) string) error {
	if a == nil {
		return failed
	}
	if asJSON {
		if _, err := fmt.Fprintln(s.out, terminal.PrintableJSON(bytes.TrimSpace(a.Raw))); err != nil {
			return err
		}
	}
	if !reported || failed != nil && a.Data == nil {
		return failed
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
	if failed != nil {
		return failed // not all have said whom they have
	}
	return o.judge(s, r.Matched, line != "", nobody)
}
