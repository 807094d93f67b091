package terminal

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode"
)

func TestNothingThatATerminalActsUponIsPrinted(t *testing.T) {
	for in, want := range map[string]string{
		"alice":                 "alice",
		"张三 é 😀":                "张三 é 😀",
		"a\x1b[31mred":          `a\x1b[31mred`,
		"line\nbreak\r\t\x00":   `line\nbreak\r\t\x00`,
		"\x7f\u009b31m":         `\x7f\u009b31m`,
		"abc\u202edef\u200b":    `abc\u202edef\u200b`,
		"not \xff\xfe UTF-8":    `not \xff\xfe UTF-8`,
		"a real \ufffd":         "a real \ufffd",
		"\\x1b stays \"as is\"": "\\x1b stays \"as is\"",
	} {
		if got := Printable(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestPrintableJSONIsTheSameValueWithoutWhatATerminalActsUpon(t *testing.T) {
	for _, in := range []string{
		`{"a":[1,2.50,"x"]}`, "{\n\t\"a\": 1\r\n}", `"é 张 😀 \u001b \n"`, "\"\x7f\u009b \u202e \u2028 \U000e0001 \u200d\"", `"\ud83d"`, "\"\ufffd\"",
	} {
		got := PrintableJSON([]byte(in))
		if strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q: %q holds what must not be printed", in, got)
		}
		var before, after any
		if json.Unmarshal([]byte(in), &before) != nil || json.Unmarshal([]byte(got), &after) != nil || !reflect.DeepEqual(before, after) {
			t.Errorf("%q became %q", in, got)
		}
	}
}
