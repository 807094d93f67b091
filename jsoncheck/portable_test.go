package jsoncheck

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

func nested(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

func TestPortableIsWhatEveryCommonParserTakes(t *testing.T) {
	for data, want := range map[string]bool{
		`{}`: true, `[]`: true, `"a"`: true, `1`: true, `-0`: true, `-0.5e+10`: true, `true`: true, `false`: true, `null`: true,
		" \t\r\n{} \n": true, `[1,2,{"a":[],"b":{}}]`: true, `123456789012345678901234567890`: true, `{"":0}`: true, `{"a":1,"a":2}`: true,
		"": false, " ": false, `{`: false, `[`: false, `[1,]`: false, `[,1]`: false, `{"a":1,}`: false, `{"a"}`: false, `{a:1}`: false, `{"a":}`: false,
		`{1:1}`: false, `01`: false, `-01`: false, `+1`: false, `1.`: false, `.5`: false, `1e`: false, `1e+`: false, `-`: false, `tru`: false, `nulll`: false,
		`'a'`: false, "\"\n\"": false, `"\x"`: false, `"\u12g4"`: false, `"\u12`: false, `"\`: false, `"a`: false, `{} {}`: false, `1 2`: false, `NaN`: false, `Infinity`: false,
		"\"\xff\"": false, "\ufeff{}": false, "\v1": false, "1\x00": false, `[1}`: false, `{"a":1]`: false, `]`: false, `[1 2]`: false, `[1:2]`: false, "\"\xed\xa0\x80\"": false,

		// Half a pair of surrogates.
		`"\ud83d\ude00"`: true, `"\uD83D\uDE00x"`: true, `"\ud7ff\ue000"`: true, `"\\ud800"`: true, `"\ud800"`: false, `"\udc00"`: false,
		`"\ude00\ud83d"`: false, `"\ud800\ud800"`: false, `"\ud800x\udc00"`: false, `"\ud800\n"`: false, `"\ud800\`: false, `{"\ud800":1}`: false, `["\uDBFF"]`: false,

		// Depth.
		nested(500): true, nested(501): false, nested(10_000): false, strings.Repeat(`{"a":`, 501) + "1" + strings.Repeat("}", 501): false,
		"[" + strings.Repeat(`[[]],`, 1000) + "1]": true, `"` + nested(501) + `"`: true,

		// Numbers.
		strings.Repeat("1", 300): true, strings.Repeat("1", 301): false, "-" + strings.Repeat("1", 300): false, "0." + strings.Repeat("1", 298): true,
		"0." + strings.Repeat("1", 299): false, "1e308": true, "1e309": false, "-1e309": false, "1.7976931348623157e308": true, "1.7976931348623159e308": false,
		"17976931348623157e292": true, "179769313486231580e292": false, "0.01e310": true, "0e999": true, "0e1000": false, "1e-999": true, "1e-1000": false,
		"1E0000308": true, "1e0": true, "1e-0000000": true, `{"a":1e400}`: false, "[" + strings.Repeat("1", 5000) + "]": false, `"1e400"`: true,

		// Names.
		`{"\u0000a":1}`: false, `{"\u0000":1}`: false, `{"a\u0000":1}`: true, `"\u0000a"`: true, `["\u0000"]`: true, `{"\\u0000":1}`: true, `{"a":{"b":1,"\u0000":2}}`: false,
		`{"` + strings.Repeat("n", MaxName-1) + `":1}`: true, `{"` + strings.Repeat("n", MaxName) + `":1}`: false, `"` + strings.Repeat("n", 1<<20) + `"`: true,
	} {
		if got := Portable([]byte(data), MaxDepth); got != want {
			t.Errorf("Portable(%.80q) = %v", data, got)
		}
	}
}

func TestTheDepthIsTheCallersUpToTheMost(t *testing.T) {
	for _, c := range []struct {
		depth, levels int
		want          bool
	}{
		{0, 0, true}, {0, 1, false}, {1, 1, true}, {1, 2, false}, {62, 62, true}, {62, 63, false}, {64, 64, true}, {64, 65, false}, {10_000, 500, true}, {10_000, 501, false}, {-1, 0, true}, {-1, 1, false},
	} {
		data := nested(c.levels)
		if c.levels == 0 {
			data = "1"
		}
		if got := Portable([]byte(data), c.depth); got != c.want {
			t.Errorf("%d levels where %d may be: %v", c.levels, c.depth, got)
		}
	}
}

func TestJudgingAllocatesNothing(t *testing.T) {
	data := []byte(`{"a":[1,2.5e300,"\ud83d\ude00",{"b":null}],"c":9e307}`)
	if n := testing.AllocsPerRun(100, func() { Portable(data, MaxDepth) }); n != 0 {
		t.Errorf("Portable: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { Valid(typical) }); n != 0 {
		t.Errorf("Valid: %v allocations", n)
	}
}

// reference says the same as Portable, by other means and slowly.
func reference(data []byte, depth int) bool {
	if !utf8.Valid(data) || !json.Valid(data) {
		return false
	}
	var any any
	if json.Unmarshal(data, &any) != nil { // a number that no float holds
		return false
	}
	if halfPair(data) {
		return false
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	type level struct{ object, name bool }
	var levels []level
	for {
		token, err := d.Token()
		if err == io.EOF {
			return true
		}
		top := len(levels) - 1
		isName := top >= 0 && levels[top].object && levels[top].name
		switch v := token.(type) {
		case json.Delim:
			if v == '}' || v == ']' {
				levels = levels[:top]
				continue
			}
			if top >= 0 {
				levels[top].name = true
			}
			levels = append(levels, level{object: v == '{', name: true})
			if len(levels) > depth {
				return false
			}
			continue
		case json.Number:
			_, power, _ := strings.Cut(strings.ToLower(string(v)), "e")
			if len(v) > MaxNumber || len(strings.TrimLeft(strings.TrimLeft(power, "+-"), "0")) > 3 {
				return false
			}
		case string:
			if isName {
				if strings.HasPrefix(v, "\x00") {
					return false
				}
				levels[top].name = false
				continue
			}
		}
		if top >= 0 {
			levels[top].name = true
		}
	}
}

// halfPair looks for a surrogate escape that has no partner.
func halfPair(data []byte) bool {
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		if data[i+1] != 'u' {
			i++
			continue
		}
		var s string
		if json.Unmarshal([]byte(`"`+string(data[i:i+6])+`"`), &s) != nil {
			return true
		}
		if s == "\ufffd" && !strings.EqualFold(string(data[i:i+6]), `\ufffd`) {
			if len(data) < i+12 || json.Unmarshal([]byte(`"`+string(data[i:i+12])+`"`), &s) != nil || strings.HasPrefix(s, "\ufffd") {
				return true
			}
			i += 6
		}
		i += 5
	}
	return false
}

func FuzzPortableAgreesWithEncodingJSON(f *testing.F) {
	for _, s := range []string{
		`{"a":[1,2.5e3,"x\u0000"],"b":null}`, `[[[`, `"\ud83d\ude00"`, "[1,\n]", `-`, "\xff", `{"\u0000":1}`, `"\ud800"`, `"\ufffd\ud800"`,
		`1e400`, `1e-1000`, `0.1e309`, `{"a":{"b":{"c":[[[[1]]]]}}}`, `"\\ud800"`, `{"a":1,"a":1}`,
	} {
		f.Add([]byte(s), 3)
	}
	f.Add([]byte(nested(500)), 500)
	f.Add([]byte(nested(501)), 500)
	f.Add([]byte(strings.Repeat("9", 301)), 1)
	f.Fuzz(func(t *testing.T, data []byte, depth int) {
		depth = min(max(depth, 0), MaxDepth)
		if len(data) > MaxName { // the reference does not look at that
			return
		}
		if got, want := Portable(data, depth), reference(data, depth); got != want {
			t.Errorf("Portable(%q, %d) = %v", data, depth, got)
		}
	})
}

// typical is what a chat's client sends.
var typical = []byte(`{"event":"chat","data":{"room":"lobby","text":"hello, it is 21 °C here","at":1735689600,"tags":["a","b"]}}`)

func BenchmarkPortableJSON(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if !Portable(typical, MaxDepth) {
			b.Fatal("not portable")
		}
	}
}

func BenchmarkValidJSON(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if !Valid(typical) {
			b.Fatal("not valid")
		}
	}
}
