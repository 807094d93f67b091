package wire

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// offering is a request whose Sec-WebSocket-Extensions fields have these values.
func offering(values ...string) *Request {
	r := &Request{Fields: []Field{{Name: []byte("Host"), Value: []byte("x")}}}
	for i, v := range values {
		name := "Sec-WebSocket-Extensions"
		if i%2 == 1 {
			name = "sec-websocket-EXTENSIONS"
		}
		r.Fields = append(r.Fields, Field{Name: []byte(name), Value: []byte(v)}, Field{Name: []byte("X"), Value: []byte("permessage-deflate")})
	}
	return r
}

const (
	plainAnswer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	malformed   = "malformed"
)

func answerOf(bits int) string {
	return fmt.Sprintf("%s; server_max_window_bits=%d", plainAnswer, bits)
}

func TestOffersAreAnswered(t *testing.T) {
	for _, c := range []struct {
		name   string
		fields []string
		want   string // "" declines
	}{
		{"nothing", nil, ""},
		{"the bare name", []string{"permessage-deflate"}, plainAnswer},
		{"a browser", []string{"permessage-deflate; client_max_window_bits"}, plainAnswer},
		{"Safari of old", []string{"x-webkit-deflate-frame"}, ""},
		{"the example of RFC 7692, 7.1.3", []string{"permessage-deflate; client_max_window_bits; server_max_window_bits=10, permessage-deflate; client_max_window_bits"}, answerOf(10)},
		{"quoted", []string{`permessage-deflate; server_max_window_bits="10"`}, answerOf(10)},
		{"quoted, with a pair", []string{`permessage-deflate; server_max_window_bits="1\1"`}, answerOf(11)},
		{"blanks everywhere", []string{"  permessage-deflate\t ; \tserver_max_window_bits = 12 ; client_max_window_bits , "}, answerOf(12)},
		{"no blanks", []string{"permessage-deflate;server_no_context_takeover;server_max_window_bits=9"}, answerOf(9)},
		{"commas alone", []string{" , ,"}, ""},
		{"an empty field alone", []string{""}, ""},
		{"two empty fields", []string{"", ","}, ""},
		{"empty elements", []string{",, ,permessage-deflate,,"}, plainAnswer},
		{"in the second field", []string{"mux; max-channels=4", "permessage-deflate; server_max_window_bits=14"}, answerOf(14)},
		{"an empty field before", []string{"", "permessage-deflate"}, plainAnswer},
		{"the first that fits, not the best", []string{"permessage-deflate; server_max_window_bits=8", "permessage-deflate"}, answerOf(8)},
		{"the one after a bad one", []string{"permessage-deflate; server_max_window_bits=16, permessage-deflate; server_max_window_bits=13"}, answerOf(13)},
		{"the one after three bad ones", []string{"permessage-deflate; x, permessage-deflate; client_max_window_bits=7", "deflate-frame, permessage-deflate; client_no_context_takeover"}, plainAnswer},

		{"unknown parameter", []string{"permessage-deflate; server_window_bits=10"}, ""},
		{"unknown parameter behind known ones", []string{"permessage-deflate; server_no_context_takeover; level=9"}, ""},
		{"server_no_context_takeover with a value", []string{"permessage-deflate; server_no_context_takeover=1"}, ""},
		{"client_no_context_takeover with a value", []string{`permessage-deflate; client_no_context_takeover="true"`}, ""},
		{"server_max_window_bits without a value", []string{"permessage-deflate; server_max_window_bits"}, ""},
		{"server_max_window_bits of 7", []string{"permessage-deflate; server_max_window_bits=7"}, ""},
		{"server_max_window_bits of 16", []string{"permessage-deflate; server_max_window_bits=16"}, ""},
		{"server_max_window_bits of 0", []string{"permessage-deflate; server_max_window_bits=0"}, ""},
		{"leading zero", []string{"permessage-deflate; server_max_window_bits=08"}, ""},
		{"leading zeros", []string{"permessage-deflate; client_max_window_bits=010"}, ""},
		{"sign", []string{"permessage-deflate; server_max_window_bits=+9"}, ""},
		{"negative", []string{"permessage-deflate; server_max_window_bits=-9"}, ""},
		{"hexadecimal", []string{"permessage-deflate; server_max_window_bits=0xA"}, ""},
		{"letters", []string{"permessage-deflate; client_max_window_bits=ten"}, ""},
		{"client_max_window_bits of 7", []string{"permessage-deflate; client_max_window_bits=7"}, ""},
		{"client_max_window_bits of 16", []string{"permessage-deflate; client_max_window_bits=16"}, ""},
		{"a value that wraps", []string{"permessage-deflate; server_max_window_bits=265"}, ""},
		{"twice", []string{"permessage-deflate; server_no_context_takeover; server_no_context_takeover"}, ""},
		{"twice, differently", []string{"permessage-deflate; client_max_window_bits; client_max_window_bits=10"}, ""},
		{"the name in capitals", []string{"Permessage-Deflate"}, ""},
		{"another name", []string{"permessage-deflate2"}, ""},
		{"the name of a parameter", []string{"server_no_context_takeover"}, ""},

		{"no name", []string{"; server_no_context_takeover"}, malformed},
		{"no parameter", []string{"permessage-deflate;"}, malformed},
		{"no parameter between", []string{"permessage-deflate;; client_max_window_bits"}, malformed},
		{"no value", []string{"permessage-deflate; server_max_window_bits="}, malformed},
		{"no value, another parameter behind", []string{"permessage-deflate; server_max_window_bits=; client_max_window_bits"}, malformed},
		{"no parameter's name", []string{"permessage-deflate; =10"}, malformed},
		{"an empty quoted value", []string{`permessage-deflate; server_max_window_bits=""`}, malformed},
		{"a quoted blank", []string{`permessage-deflate; server_max_window_bits="1 0"`}, malformed},
		{"a quoted comma", []string{`permessage-deflate; x="a,b"`}, malformed},
		{"an escaped quote", []string{`permessage-deflate; x="a\"b"`}, malformed},
		{"an open quote", []string{`permessage-deflate; server_max_window_bits="10`}, malformed},
		{"an open quote behind a backslash", []string{`permessage-deflate; x="10\`}, malformed},
		{"a quote across fields", []string{`permessage-deflate; x="a`, `b"`}, malformed},
		{"something behind a quote", []string{`permessage-deflate; server_max_window_bits="1"0`}, malformed},
		{"a quoted name", []string{`"permessage-deflate"`}, malformed},
		{"two names", []string{"permessage-deflate permessage-deflate"}, malformed},
		{"two values", []string{"permessage-deflate; server_max_window_bits=9=10"}, malformed},
		{"a value for the name", []string{"permessage-deflate=1"}, malformed},
		{"not a token", []string{"permessage/deflate"}, malformed},
		{"not ASCII", []string{"permessage-d\xe9flate"}, malformed},
		{"broken behind a good offer", []string{"permessage-deflate, ;"}, malformed},
		{"broken in the field after a good offer", []string{"permessage-deflate", "x y"}, malformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, response, err := NegotiateDeflate(offering(c.fields...))
			if c.want == malformed {
				if err == nil || err.Status != http.StatusBadRequest || response != "" || p.Agreed() {
					t.Errorf("%q: %+v, %q, %v", c.fields, p, response, err)
				}
				return
			}
			if response != c.want || err != nil || p.Agreed() != (c.want != "") {
				t.Errorf("%q: %+v, %q, %v; want %q", c.fields, p, response, err, c.want)
			}
		})
	}
}

// legalOffers are all legal offers: every choice of parameters and values, in
// every order, with the window that the server is asked to keep to.
func legalOffers(yield func(offer string, serverBits int)) {
	values := func(name string, from ...string) (all []string) {
		all = append(from, "")
		for bits := 8; bits <= 15; bits++ {
			all = append(all, fmt.Sprintf("%s=%d", name, bits))
		}
		return all
	}
	for _, serverTakeover := range []string{"", "server_no_context_takeover"} {
		for _, clientTakeover := range []string{"", "client_no_context_takeover"} {
			for i, serverWindow := range values("server_max_window_bits") {
				for _, clientWindow := range values("client_max_window_bits", "client_max_window_bits") {
					var params []string
					for _, p := range []string{serverTakeover, clientTakeover, serverWindow, clientWindow} {
						if p != "" {
							params = append(params, p)
						}
					}
					permute(params, len(params), func() {
						bits := 0
						if i > 0 {
							bits = 7 + i
						}
						yield(strings.Join(append([]string{"permessage-deflate"}, params...), "; "), bits)
					})
				}
			}
		}
	}
}

// permute calls f with every order of the first n elements of s (Heap's
// algorithm).
func permute(s []string, n int, f func()) {
	if n <= 1 {
		f()
		return
	}
	for i := range n {
		permute(s, n-1, f)
		if n%2 == 0 {
			s[i], s[n-1] = s[n-1], s[i]
		} else {
			s[0], s[n-1] = s[n-1], s[0]
		}
	}
}

func TestEveryLegalOfferIsAcceptedInEveryOrder(t *testing.T) {
	offers := 0
	legalOffers(func(offer string, serverBits int) {
		offers++
		want, window := plainAnswer, 15
		if serverBits > 0 {
			want, window = answerOf(serverBits), serverBits
		}
		for _, fields := range [][]string{
			{offer},
			{"x-unknown; a=b, permessage-deflate; server_max_window_bits, " + offer},
			{"permessage-deflate; bad", offer},
			{offer + ", permessage-deflate"},
		} {
			p, response, err := NegotiateDeflate(offering(fields...))
			if err != nil || response != want || int(p.WindowBits) != window {
				t.Errorf("%q: window %d, %q, %v; want %q", fields, p.WindowBits, response, err, want)
			}
		}
	})
	if offers < 4*9*10 {
		t.Errorf("only %d offers", offers)
	}
}

func TestEveryLegalOfferSpoiltByOneParameterIsDeclined(t *testing.T) {
	legalOffers(func(offer string, _ int) {
		for _, bad := range []string{"x", "server_max_window_bits=7", "client_max_window_bits=16", "server_no_context_takeover=0"} {
			if p, response, err := NegotiateDeflate(offering(offer + "; " + bad)); p.Agreed() || response != "" || err != nil {
				t.Errorf("%q; %s: %+v, %q, %v", offer, bad, p, response, err)
			}
		}
		first, _, valued := strings.Cut(offer, ";")
		if valued {
			last := offer[strings.LastIndexByte(offer, ';'):]
			if p, response, err := NegotiateDeflate(offering(offer + last)); p.Agreed() || response != "" || err != nil {
				t.Errorf("%q twice in %q: %+v, %q, %v", last, first, p, response, err)
			}
		}
	})
}

func TestNegotiationAllocatesNothing(t *testing.T) {
	r := offering("mux; a=b", "permessage-deflate; server_max_window_bits=16, permessage-deflate; client_max_window_bits; server_max_window_bits=12")
	if n := testing.AllocsPerRun(100, func() {
		if p, _, _ := NegotiateDeflate(r); p.WindowBits != 12 {
			t.Error("not agreed")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// The grammar of RFC 6455, 9.1, as expressions: what FuzzNegotiate compares with.
const (
	tokenExpr = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+"
	quotExpr  = "\"(?:\\\\?[!#$%&'*+\\-.^_`|~0-9A-Za-z])+\""
	paramExpr = `[ \t]*;[ \t]*(` + tokenExpr + `)(?:[ \t]*(=)[ \t]*(` + tokenExpr + `|` + quotExpr + `))?`
	offerExpr = `[ \t]*(` + tokenExpr + `)((?:` + paramExpr + `)*)[ \t]*`
)

var (
	listRegexp  = regexp.MustCompile(`^(?:(?:` + offerExpr + `|[ \t]*),)*(?:` + offerExpr + `|[ \t]*)$`)
	offerRegexp = regexp.MustCompile(offerExpr)
	paramRegexp = regexp.MustCompile(paramExpr)
	bitsRegexp  = regexp.MustCompile(`^([89]|1[0-5])$`)
)

// expectedAnswer judges the fields in another way than NegotiateDeflate does.
func expectedAnswer(fields []string) string {
	if len(fields) == 0 {
		return ""
	}
	list := strings.Join(fields, ",") // RFC 6455, 9.1: several fields are one list
	offers := offerRegexp.FindAllStringSubmatch(list, -1)
	if !listRegexp.MatchString(list) {
		return malformed
	}
next:
	for _, offer := range offers {
		if offer[1] != "permessage-deflate" {
			continue
		}
		answer, seen := plainAnswer, map[string]bool{}
		for _, param := range paramRegexp.FindAllStringSubmatch(offer[2], -1) {
			name, valued, value := param[1], param[2] != "", strings.NewReplacer(`"`, "", `\`, "").Replace(param[3])
			window := bitsRegexp.MatchString(value)
			legal := map[string]bool{
				"server_no_context_takeover": !valued,
				"client_no_context_takeover": !valued,
				"server_max_window_bits":     window,
				"client_max_window_bits":     window || !valued,
			}
			if seen[name] || !legal[name] {
				continue next
			}
			seen[name] = true
			if name == "server_max_window_bits" {
				answer = plainAnswer + "; server_max_window_bits=" + value
			}
		}
		return answer
	}
	return ""
}

func FuzzNegotiate(f *testing.F) {
	for _, seed := range []string{
		"permessage-deflate", "permessage-deflate; client_max_window_bits", "x, permessage-deflate;server_max_window_bits=\"1\\0\"",
		"permessage-deflate; server_max_window_bits=16, permessage-deflate; server_max_window_bits=8\npermessage-deflate",
		"a;b=c;d=\"e\"\n,\n,f ; g", "permessage-deflate; =", ";", "\"", "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits=9",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, lines string) {
		fields := strings.Split(lines[:min(len(lines), 512)], "\n")
		p, response, err := NegotiateDeflate(offering(fields...))
		got := response
		if err != nil {
			got = malformed
		}
		if want := expectedAnswer(fields); got != want {
			t.Fatalf("%q: %q, want %q", fields, got, want)
		}
		want := 0
		if response != "" {
			want = 15
			fmt.Sscanf(response, plainAnswer+"; server_max_window_bits=%d", &want)
		}
		if int(p.WindowBits) != want {
			t.Fatalf("%q: answered %q, but the window has %d bits", fields, response, p.WindowBits)
		}
	})
}
