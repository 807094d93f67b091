// Package finding is what a look at the configuration or at the machine found, as
// ws-gateway check prints it and the log of a start says it. It imports nothing of
// ours.
package finding

import "errors"

// Finding is the result of one look.
type Finding struct {
	Name    string `json:"name"` // of what was looked at
	State   State  `json:"state"`
	Message string `json:"message"`
	Fix     string `json:"fix,omitempty"` // a command or a setting
}

// State is what a finding means.
type State string

const (
	OK   State = "ok"
	Warn State = "warn" // it runs, but not as well as it was asked to
	Fail State = "fail" // it cannot run
)

// New returns a finding; fix can be empty.
func New(name string, state State, message, fix string) Finding {
	return Finding{Name: name, State: state, Message: message, Fix: fix}
}

// Err returns the finding as an error, with the fix if there is one.
func (f Finding) Err() error {
	text := f.Name + ": " + f.Message
	if f.Fix != "" {
		text += "; " + f.Fix
	}
	return errors.New(text)
}

// Failures returns the failures among findings, a line for each; nil without any.
func Failures(found []Finding) error {
	var all []error
	for _, f := range found {
		if f.State == Fail {
			all = append(all, f.Err())
		}
	}
	return errors.Join(all...)
}
