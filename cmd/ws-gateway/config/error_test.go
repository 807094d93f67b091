package config

import (
	"errors"
	"slices"
	"testing"
)

func TestAConfigurationWithMistakesIsNotReturnedButWhatIsKnownOfItIs(t *testing.T) {
	for _, test := range []struct {
		args     []string
		command  string
		json     bool
		bindings []string
		outputs  Outputs
	}{
		{[]string{"--lisen=:1"}, "run", false, nil, Outputs{}}, // listen may be meant
		{[]string{"--loops=x", "--listen=:1", "--admin-listen=:2", "--callback-url=http://a/", "--journal=/j", "--dead-letter=/d"}, "run", false,
			[]string{"listen :1", "admin-listen :2"}, Outputs{Journal: "/j", DeadLetter: "/d"}},
		{[]string{"check", "--json", "--no-callback", "--journal=/j", "--listen=:1", "--loops=x", "--metrics-listen=3"}, "check", true, []string{"listen :1"}, Outputs{}},
		{[]string{"check", "--json", "-x"}, "check", true, nil, Outputs{}}, // not read further
	} {
		c, err := parse(test.args)
		var e *Error
		if c != nil || !errors.As(err, &e) {
			t.Fatalf("%q: %v, %v", test.args, c, err)
		}
		var bindings []string
		for _, b := range e.Bindings {
			bindings = append(bindings, b.Option+" "+b.Addr)
		}
		if e.Command != test.command || e.JSON != test.json || !slices.Equal(bindings, test.bindings) || e.Outputs != test.outputs {
			t.Errorf("%q: %+v", test.args, e)
		}
	}
}
