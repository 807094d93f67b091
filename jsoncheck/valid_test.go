package jsoncheck

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestValidFollowsRFC8259(t *testing.T) {
	for data, want := range map[string]bool{
		`{}`: true, `[]`: true, `"a"`: true, `1`: true, `-0`: true, `-0.5e+10`: true, `true`: true, `null`: true,
		" \t\r\n{} \n": true, `"\u00e9\ud800"`: true, `[1,2,{"a":[]}]`: true, `123456789012345678901234567890`: true,
		"": false, " ": false, `{`: false, `[1,]`: false, `[,1]`: false, `{"a":1,}`: false, `{"a"}`: false, `{a:1}`: false,
		`01`: false, `+1`: false, `1.`: false, `.5`: false, `1e`: false, `-`: false, `tru`: false, `nulll`: false, `'a'`: false,
		"\"\n\"": false, `"\x"`: false, `"\u12g4"`: false, `"a`: false, `{} {}`: false, `NaN`: false,
		"\"\xff\"": false, "\ufeff{}": false, "\v1": false, "1\x00": false, `[1}`: false,
	} {
		if got := Valid([]byte(data)); got != want {
			t.Errorf("Valid(%q) = %v", data, got)
		}
	}
}

func TestValidBoundsNesting(t *testing.T) {
	nested := func(n int) []byte {
		return []byte(strings.Repeat("[", n) + strings.Repeat("]", n))
	}
	for n, want := range map[int]bool{
		maxRecursion: true, maxRecursion + 1: true, 10_000: true, 10_001: false, 1 << 20: false,
	} {
		if got := Valid(nested(n)); got != want {
			t.Errorf("%d levels: %v, want %v", n, got, want)
		}
	}
	if Valid(bytes.Repeat([]byte("["), 1<<20)) || Valid([]byte(strings.Repeat(`{"a":`, 1<<18))) {
		t.Error("brackets that nothing closes are valid")
	}
	wide := []byte("[" + strings.Repeat(`{"a":"]["},`, 50_000) + "0]")
	if deeper(wide, 2) || !Valid(wide) {
		t.Error("a wide text is taken for a deep one")
	}
}

func FuzzValidAgreesWithEncodingJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5e3,"x\u0000"],"b":null}`, `[[[`, `"\ud83d\ude00"`, "[1,\n]", `-`, "\xff"} {
		f.Add([]byte(s))
	}
	f.Add([]byte(strings.Repeat("[", 1100) + strings.Repeat("]", 1100)))
	f.Fuzz(func(t *testing.T, data []byte) {
		if got, want := Valid(data), json.Valid(data) && utf8.Valid(data); got != want {
			t.Errorf("Valid(%q) = %v", data, got)
		}
		// Brackets in great number lead to the other validator.
		deep := append(bytes.Repeat([]byte("["), maxRecursion), data...)
		deep = append(deep, bytes.Repeat([]byte("]"), maxRecursion)...)
		if got, want := Valid(deep), json.Valid(deep) && utf8.Valid(deep); got != want {
			t.Errorf("deep in an array: Valid(%q) = %v", data, got)
		}
	})
}
