package groups

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestANameIsUTF8WithoutControlCharacters(t *testing.T) {
	for name, ok := range map[string]bool{
		"a": true, "room-1": true, "room,2": true, "Gruppe ä": true, " ": true, strings.Repeat("x", MaxName): true, "%2C": true,
		"": false, strings.Repeat("x", MaxName+1): false, "a\nb": false, "\x00": false, "\x7f": false, "\u0085": false, "\xff": false,
	} {
		err := CheckName(name)
		if (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
		if bad := (*NameError)(nil); err != nil && !errors.As(err, &bad) {
			t.Errorf("%q: %T", name, err)
		}
	}
}

func TestAListIsSplitAndDecoded(t *testing.T) {
	for value, want := range map[string][]string{
		"room-1":                 {"room-1"},
		"room-1, room%2C2":       {"room-1", "room,2"},
		" a ,\tb,, c,":           {"a", "b", "c"},
		"a+b":                    {"a+b"},
		"%C3%A4,ä":               {"ä", "ä"},
		"":                       nil,
		"a, %":                   nil,
		"a, %zz":                 nil,
		"a, %0A":                 nil,
		"%ff":                    nil,
		strings.Repeat("x", 256): nil,
	} {
		got, err := ParseList([]string{"before"}, value)
		if err == nil != (want != nil || value == "") || !slices.Equal(got, append([]string{"before"}, want...)) {
			t.Errorf("%q: %q, %v", value, got, err)
		}
	}
}

func FuzzParseList(f *testing.F) {
	for _, seed := range []string{"room-1, room%2C2", ",,a ,", "%", "%0a", "%C3%A4", "\xff", "a%20b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		names, err := ParseList(nil, value)
		if err != nil && names != nil {
			t.Fatalf("%q: %v and an error", value, names)
		}
		var again []string
		for _, n := range names {
			if len(n) < 1 || len(n) > MaxName || !utf8.ValidString(n) {
				t.Fatalf("%q: name %q", value, n)
			}
			again = append(again, url.PathEscape(n))
		}
		back, err := ParseList(nil, strings.Join(again, ", "))
		if err != nil || !slices.Equal(back, names) {
			t.Fatalf("%q: %q, encoded and read again: %q, %v", value, names, back, err)
		}
	})
}
