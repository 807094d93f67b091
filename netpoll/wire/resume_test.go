package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func offerOf(t *testing.T, protocols string) ResumeOffer {
	t.Helper()
	var r Request
	head := "GET /ws HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Protocol: " + protocols + "\r\n\r\n"
	if err := ParseHead([]byte(head), &r); err != nil {
		t.Fatal(err)
	}
	return r.ResumeOffer()
}

func TestAnOfferIsFoundAmongTheSubprotocols(t *testing.T) {
	for protocols, want := range map[string]string{
		"chat.v2":                       "false  0",
		"chat.v2, ws-gateway.resume.v1": "true  0",
		"ws-gateway.resume.v1, ws-gateway.resume.v1.abc-_.17, chat":                "true abc-_ 17",
		"ws-gateway.resume.v1.abc.17":                                              "false  0", // the protocol itself is not offered
		"ws-gateway.resume.v1, ws-gateway.resume.v1.abc":                           "true  0 unreadable",
		"ws-gateway.resume.v1, ws-gateway.resume.v1.abc.":                          "true  0 unreadable",
		"ws-gateway.resume.v1, ws-gateway.resume.v1..5":                            "true  0 unreadable",
		"ws-gateway.resume.v1, ws-gateway.resume.v1.abc.-1":                        "true  0 unreadable",
		"ws-gateway.resume.v1, ws-gateway.resume.v1.abc.01":                        "true  0 unreadable",
		"ws-gateway.resume.v1, ws-gateway.resume.v1.abc.1234567890123456789":       "true  0 unreadable",
		"ws-gateway.resume.v1, ws-gateway.resume.v1.a.1, ws-gateway.resume.v1.b.2": "true a 1",
		"ws-gateway.resume.v10, ws-gateway.resume.v1x":                             "false  0",
	} {
		o := offerOf(t, protocols)
		got := fmt.Sprintf("%v %s %d", o.Asked, o.Token, o.Received)
		if o.Unreadable {
			got += " unreadable"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", protocols, got, want)
		}
	}
	for name, want := range map[string]bool{ResumeProtocol: true, ResumeProtocol + ".x.1": true, ResumeProtocol + "0": true, "chat": false, "": false} {
		if IsResumeName([]byte(name)) != want {
			t.Errorf("%q is about sessions: %v", name, !want)
		}
	}
}

func TestAGreetingIsJSONBehindARecordSeparator(t *testing.T) {
	g := Greeting{Resumed: true, ID: []byte("i"), Token: []byte("t"), Seconds: 60, Received: 7}
	if got, want := string(g.AppendTo([]byte("x"))), "x\x1e"+`{"resumed":true,"id":"i","token":"t","for":60,"received":7}`; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	g.Protocol = "chat.v2"
	var parsed map[string]any
	if err := json.Unmarshal(g.AppendTo(nil)[1:], &parsed); err != nil || parsed["protocol"] != "chat.v2" {
		t.Errorf("%v, %v", parsed, err)
	}
}

// FuzzAcknowledgement holds ParseAck against what it is the inverse of.
func FuzzAcknowledgement(f *testing.F) {
	for _, seed := range []string{"\x1e0", "\x1e17", "\x1e", "\x1e\x1e1", "\x1e01", "\x1e-1", "\x1e1 ", "\x1e999999999999999999", "\x1e1000000000000000000", "1"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		if n, ok := ParseAck(payload); ok && !bytes.Equal(AppendAck(nil, n), payload) {
			t.Errorf("%q is taken for %d", payload, n)
		}
	})
}

// FuzzResumeToken holds ParseResumeToken against what it is the inverse of.
func FuzzResumeToken(f *testing.F) {
	token := ResumeToken{ID: []byte("cU0yq1pJ7wsAAAAAAAAAAAAB"), Turn: 3, MAC: [MACBytes]byte{1, 2, 255}}
	f.Add(token.AppendTo(nil))
	f.Add([]byte(strings.Repeat("A", sealChars)))
	f.Add([]byte(strings.Repeat("\n", sealChars+4)))
	f.Fuzz(func(t *testing.T, text []byte) {
		if token, ok := ParseResumeToken(text); ok && !bytes.Equal(token.AppendTo(nil), text) {
			t.Errorf("%q is taken for %+v", text, token)
		}
	})
}

func TestATokenHasOneSpelling(t *testing.T) {
	token := ResumeToken{ID: []byte("id"), Turn: 1 << 30, MAC: [MACBytes]byte{9}}
	text := token.AppendTo(nil)
	got, ok := ParseResumeToken(text)
	if !ok || string(got.ID) != "id" || got.Turn != token.Turn || got.MAC != token.MAC {
		t.Errorf("%s is taken for %+v, %v", text, got, ok)
	}
	for _, other := range []string{string(text) + "=", string(text) + "\n", string(text[:len(text)-1]), string(text[len(text)-sealChars:]), ""} {
		if got, ok := ParseResumeToken([]byte(other)); ok && string(got.ID) == "id" && got.MAC == token.MAC {
			t.Errorf("%q is the same token", other)
		}
	}
}
