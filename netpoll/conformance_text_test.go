package netpoll

import (
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"ws-gateway/netpoll/internal/wiretest"
)

const kosme = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5" // κόσμε, as in Markus Kuhn's tests

// textSequences are Autobahn's byte sequences, in hexadecimal, and whether they
// are UTF-8.
var textSequences = []struct {
	group string
	valid bool
	list  string
}{
	{"6.1.1", true, ""},
	{"6.2.1", true, "48656c6c6f2dc2b540c39fc3b6c3a4c3bcc3a0c3a12d5554462d382121"},
	{"6.3", false, "cebae1bdb9cf83cebcceb5eda080656469746564"},
	{"6.5", true, "cebae1bdb9cf83cebcceb5"},
	{"6.6, whole runes", true, "ceba cebae1bdb9 cebae1bdb9cf83 cebae1bdb9cf83cebc cebae1bdb9cf83cebcceb5"},
	{"6.6, cut", false, "ce cebae1 cebae1bd cebae1bdb9cf cebae1bdb9cf83ce cebae1bdb9cf83cebcce"},
	{"6.7, first of their length", true, "00 c280 e0a080 f0908080"},
	{"6.8, first of 5 and 6 bytes", false, "f888808080 fc8480808080"},
	{"6.9, last of their length", true, "7f dfbf efbfbf f48fbfbf"},
	{"6.10, last of 4, 5 and 6 bytes", false, "f7bfbfbf fbbfbfbfbf fdbfbfbfbfbf"},
	{"6.11, boundaries", true, "ed9fbf ee8080 efbfbd f48fbfbf"},
	{"6.11.5, beyond the last", false, "f4908080"},
	{"6.12, unexpected continuation", false, "80 bf 80bf 80bf80 80bf80bf 80bf80bf80 80bf80bf80bf " +
		"808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbe"},
	{"6.13, lonely start", false, "c020c120c220c320c420c520c620c720c820c920ca20cb20cc20cd20ce20cf20d020d120d220d320d420d520d620d720d820d920da20db20dc20dd20de20df20 " +
		"e020e120e220e320e420e520e620e720e820e920ea20eb20ec20ed20ee20ef20 f020f120f220f320f420f520f620f720 f820f920fa20fb20 fc20fd20"},
	{"6.14, last byte missing", false, "c0 e080 f08080 f8808080 fc80808080 df efbf f7bfbf fbbfbfbf fdbfbfbfbf"},
	{"6.15, all of these", false, "c0e080f08080f8808080fc80808080dfefbff7bfbffbbfbfbffdbfbfbfbf"},
	{"6.16, impossible bytes", false, "fe ff fefeffff"},
	{"6.17, overlong slash", false, "c0af e080af f08080af f8808080af fc80808080af"},
	{"6.18, longest overlong", false, "c1bf e09fbf f08fbfbf f887bfbfbf fc83bfbfbfbf"},
	{"6.19, overlong NUL", false, "c080 e08080 f0808080 f880808080 fc8080808080"},
	{"6.20, lone surrogates", false, "eda080 edadbf edae80 edafbf edb080 edbe80 edbfbf"},
	{"6.21, surrogate pairs", false, "eda080edb080 eda080edbfbf edadbfedb080 edadbfedbfbf edae80edb080 edae80edbfbf edafbfedb080 edafbfedbfbf"},
	{"6.22, noncharacters", true, "efbfbe efbfbf f09fbfbe f09fbfbf f0afbfbe f0afbfbf f0bfbfbe f0bfbfbf f18fbfbe f18fbfbf f19fbfbe f19fbfbf f1afbfbe f1afbfbf " +
		"f1bfbfbe f1bfbfbf f28fbfbe f28fbfbf f29fbfbe f29fbfbf f2afbfbe f2afbfbf f2bfbfbe f2bfbfbf f38fbfbe f38fbfbf f39fbfbe f39fbfbf " +
		"f3afbfbe f3afbfbf f3bfbfbe f3bfbfbf f48fbfbe f48fbfbf efb790 efb7af"},
	{"6.23, specials", true, "efbfb9 efbfba efbfbb efbfbc efbfbd efbfbe efbfbf efbbbf e280a8"},
}

// eachTextSequence calls f with all of them.
func eachTextSequence(f func(name, text string, valid bool)) {
	for _, s := range textSequences {
		for i, sequence := range strings.Split(s.list, " ") {
			text, err := hex.DecodeString(sequence)
			if err != nil {
				panic(err)
			}
			f(fmt.Sprintf("%s: %d", s.group, i+1), string(text), s.valid)
		}
	}
}

func TestConformance6Text(t *testing.T) {
	addr := echoServer(t)
	eachTextSequence(func(name, text string, valid bool) {
		for _, around := range []string{"", kosme} {
			text := around + text + around
			x := exchange{name: fmt.Sprintf("%s, %d bytes", name, len(text)), send: clientFrame(0x81, text), want: serverFrame(0x81, text)}
			if !valid {
				x.want, x.code = nil, 1007
			}
			x.run(t, addr)
			x.name += ", in fragments of a byte"
			x.send = join(fragments(1, text, 1)...)
			x.run(t, addr)
			x.name += " with pings between"
			x.send, x.want = nil, nil
			for _, f := range fragments(1, text, 1) {
				x.send = join(x.send, f, clientFrame(0x89, ""))
				if valid {
					x.want = join(x.want, serverFrame(0x8a, ""))
				}
			}
			if valid { // the ping behind the last fragment is answered behind the message
				x.want = join(x.want[2:], serverFrame(0x81, text), serverFrame(0x8a, ""))
				x.run(t, addr)
			}
		}
	})
	for _, x := range []exchange{
		{name: "6.1.2 three empty fragments", send: join(clientFrame(0x01, ""), clientFrame(0x00, ""), clientFrame(0x80, "")), want: serverFrame(0x81, "")},
		{name: "6.1.3 payload between empty fragments", send: join(clientFrame(0x01, ""), clientFrame(0x00, "middle frame payload"), clientFrame(0x80, "")), want: serverFrame(0x81, "middle frame payload")},
		{name: "6.2.2 cut between runes", send: join(clientFrame(0x01, "Hello-\u00b5@\u00df\u00f6\u00e4"), clientFrame(0x80, "\u00fc\u00e0\u00e1-UTF-8!!")), want: serverFrame(0x81, "Hello-\u00b5@\u00df\u00f6\u00e4\u00fc\u00e0\u00e1-UTF-8!!")},
		{name: "a rune that a message leaves open is not the next one's", send: join(clientFrame(0x82, "\xe2\x82"), clientFrame(0x81, "\xac")), want: serverFrame(0x82, "\xe2\x82"), code: 1007},
		{name: "binary need not be UTF-8", send: join(fragments(2, "\xed\xa0\x80\xff", 1)...), want: serverFrame(0x82, "\xed\xa0\x80\xff")},
	} {
		x.run(t, addr)
	}
}

// The client goes no further than the byte that spoils the text: a server that
// waited for more would wait in vain.
func TestConformance6FailFast(t *testing.T) {
	addr := echoServer(t)
	open := clientFrame(0x81, strings.Repeat("x", 1000)) // of which little will be sent
	header := open[:len(open)-1000]
	masked := func(text string) []byte { // what follows header
		return clientFrame(0x81, text+strings.Repeat("x", 1000-len(text)))[len(header):][:len(text)]
	}
	for _, x := range []exchange{
		{name: "6.4.1 bad second fragment, no third", send: join(clientFrame(0x01, kosme), clientFrame(0x00, "\xf4\x90\x80\x80"))},
		{name: "6.4.2 the byte that spoils, no more fragments", send: join(clientFrame(0x01, kosme+"\xf4"), clientFrame(0x00, "\x90"))},
		{name: "6.4.3 bad bytes within a frame", send: join(header, masked(kosme+"\xf4\x90\x80\x80"))},
		{name: "6.4.4 the byte that spoils, within a frame", send: join(header, masked(kosme+"\xf4\x90"))},
	} {
		x.code = 1007
		x.run(t, addr)
	}
	eachTextSequence(func(name, text string, valid bool) {
		n := hopeless(text)
		if n == 0 {
			if !valid && utf8.ValidString(text) {
				t.Fatalf("%s is valid", name)
			}
			return
		}
		exchange{name: name + ", within a frame", send: join(header, masked(kosme+text[:n])), code: 1007}.run(t, addr)
		exchange{name: name + ", in fragments", send: join(clientFrame(0x01, kosme+text[:n-1]), clientFrame(0x00, text[n-1:n])), code: 1007}.run(t, addr)
	})
}

// hopeless is the number of bytes of text after which nothing can make it UTF-8
// any more, 0 if there is none.
func hopeless(text string) int {
	for n := 1; n <= len(text); n++ {
		if !utf8.ValidString(text[:n]) && !wiretest.Completable([]byte(text[:n])) {
			return n
		}
	}
	return 0
}

func TestTextThatIsStillGoodIsWaitedFor(t *testing.T) {
	addr := echoServer(t)
	c := dialRaw(t, addr)
	for _, part := range []string{"\xf4", "\x8f", "\xbf"} {
		first := byte(0x00)
		if part == "\xf4" {
			first = 0x01
		}
		c.Write(join(clientFrame(first, part), clientFrame(0x89, "?")))
		pong := make([]byte, 3)
		if _, err := io.ReadFull(c, pong); err != nil || string(pong) != "\x8a\x01?" {
			t.Fatalf("after %x: %q, %v", part, pong, err)
		}
	}
	c.Write(join(clientFrame(0x80, "\xbf"), clientFrame(0x88, "")))
	if got, err := io.ReadAll(c); err != nil || string(got) != "\x81\x04\xf4\x8f\xbf\xbf\x88\x00" {
		t.Errorf("got %q, %v", got, err)
	}
}
