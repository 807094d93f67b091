package contract

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// lived has a Life take events such as "o1 m2 c3", and returns what is wrong with each,
// and at the end.
func lived(events string) (all []Breach, end Breach) {
	var l Life
	for _, e := range strings.Fields(events) {
		var number uint64
		fmt.Sscan(e[1:], &number)
		kind := map[byte]Kind{'o': Open, 'm': Message, 'c': Close}[e[0]]
		all = append(all, l.Take(kind, number))
	}
	return all, l.End()
}

func TestEachBreachIsFoundWhereItIs(t *testing.T) {
	for name, c := range map[string]struct {
		events string
		want   []Breach
		end    Breach
	}{
		"nothing":                        {"", nil, None},
		"a life":                         {"o1 m2 m3 c4", []Breach{None, None, None, None}, None},
		"a short life":                   {"o1 c2", []Breach{None, None}, None},
		"no open":                        {"m2 c3", []Breach{Unopened, None}, None},
		"a close alone":                  {"c2", []Breach{Unopened}, None},
		"no close":                       {"o1 m2", []Breach{None, None}, Unclosed},
		"an open with another number":    {"o2 m3 c4", []Breach{Skipping, None, None}, None},
		"an open without a number":       {"o0 m1 c2", []Breach{Backwards, None, None}, None},
		"two opens":                      {"o1 o2 c3", []Breach{None, Reopened, None}, None},
		"the open again":                 {"o1 o1 c2", []Breach{None, Reopened, None}, None},
		"two closes":                     {"o1 c2 c3", []Breach{None, None, Late}, None},
		"the close again":                {"o1 c2 c2", []Breach{None, None, Late}, None},
		"a message after the close":      {"o1 c2 m3", []Breach{None, None, Late}, None},
		"an open after the close":        {"o1 c2 o3", []Breach{None, None, Reopened}, None},
		"a message is lost":              {"o1 m2 m4 c5", []Breach{None, None, Skipping, None}, None},
		"a message is doubled":           {"o1 m2 m2 c3", []Breach{None, None, Backwards, None}, None},
		"two messages are swapped":       {"o1 m3 m2 c4", []Breach{None, Skipping, Backwards, None}, None},
		"a close overtakes":              {"o1 m2 c4 m3", []Breach{None, None, Skipping, Late}, None},
		"an event of no kind":            {"o1 x2 c3", []Breach{None, NoKind, None}, None},
		"a number beyond what can count": {"o1 m18446744073709551615 c2", []Breach{None, Skipping, None}, None},
	} {
		if got, end := lived(c.events); !slices.Equal(got, c.want) || end != c.end {
			t.Errorf("%s: %v, then %v, want %v, then %v", name, got, end, c.want, c.end)
		}
	}
}

func TestTheActionsAreThoseOfTheProtocol(t *testing.T) {
	for action, want := range map[string]Kind{"open": Open, "message": Message, "close": Close, "": Unknown, "Open": Unknown, "opened": Unknown} {
		if got := KindOf(action); got != want {
			t.Errorf("%q is %d, not %d", action, got, want)
		}
	}
}

// FuzzLife holds a Life against the contract in other words: the first event with which
// what has come has no longer the form that there is breaks it, and none before.
func FuzzLife(f *testing.F) {
	f.Add([]byte("o\x01m\x02m\x03c\x04"))
	f.Add([]byte("o\x01m\x03m\x02c\x04c\x05"))
	f.Add([]byte("o\x01c\x02o\x01"))
	form := regexp.MustCompile("^om*c?$")
	f.Fuzz(func(t *testing.T, events []byte) {
		var l Life
		var kinds []byte
		for i := 0; i+1 < len(events); i += 2 {
			kind := map[byte]Kind{'o': Open, 'm': Message, 'c': Close}[events[i]]
			kinds = append(kinds, "?omc"[kind])
			right := form.Match(kinds) && int(events[i+1]) == len(kinds)
			if b := l.Take(kind, uint64(events[i+1])); right != (b == None) {
				t.Fatalf("%q: event %d %v", events, len(kinds), b)
			}
			if !right {
				return
			}
		}
		if whole := len(kinds) == 0 || kinds[len(kinds)-1] == 'c'; whole != (l.End() == None) {
			t.Fatalf("%q: the last %v", events, l.End())
		}
	})
}
