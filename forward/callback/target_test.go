package callback

import (
	"context"
	"encoding/binary"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

func TestCallbackURLs(t *testing.T) {
	for raw, want := range map[string]Target{
		"http://127.0.0.1:8888/ws/message":  {"tcp", "127.0.0.1:8888", false, "127.0.0.1", "POST /ws/message HTTP/1.1\r\nHost: 127.0.0.1:8888\r\n", "http://127.0.0.1:8888/ws/message"},
		"http://app":                        {"tcp", "app:80", false, "app", "POST / HTTP/1.1\r\nHost: app\r\n", "http://app"},
		"HTTP://app/a%2Fb?token=x":          {"tcp", "app:80", false, "app", "POST /a%2Fb?token=x HTTP/1.1\r\nHost: app\r\n", "http://app/a%2Fb"},
		"http://[::1]:3010/a b":             {"tcp", "[::1]:3010", false, "::1", "POST /a%20b HTTP/1.1\r\nHost: [::1]:3010\r\n", "http://[::1]:3010/a%20b"},
		"http://[fe80::1%25eth0]:3010/":     {"tcp", "[fe80::1%eth0]:3010", false, "fe80::1%eth0", "POST / HTTP/1.1\r\nHost: [fe80::1]:3010\r\n", "http://[fe80::1%eth0]:3010/"},
		"http://[fe80::1%25eth0]/":          {"tcp", "[fe80::1%eth0]:80", false, "fe80::1%eth0", "POST / HTTP/1.1\r\nHost: [fe80::1]\r\n", "http://[fe80::1%eth0]/"},
		"https://app/x":                     {"tcp", "app:443", true, "app", "POST /x HTTP/1.1\r\nHost: app\r\n", "https://app/x"},
		"https://app:8443":                  {"tcp", "app:8443", true, "app", "POST / HTTP/1.1\r\nHost: app:8443\r\n", "https://app:8443"},
		"http://app/?a b=\"c\"&é=<%20>%zz%": {"tcp", "app:80", false, "app", "POST /?a%20b=%22c%22&%C3%A9=%3C%20%3E%25zz%25 HTTP/1.1\r\nHost: app\r\n", "http://app/"},
		"http://app/é \"{|}\\^`/x?":         {"tcp", "app:80", false, "app", "POST /%C3%A9%20%22%7B%7C%7D%5C%5E%60/x? HTTP/1.1\r\nHost: app\r\n", "http://app/%C3%A9%20%22%7B%7C%7D%5C%5E%60/x"},
		"unix:/a:/p q?x y":                  {"unix", "/a", false, "", "POST /p%20q?x%20y HTTP/1.1\r\nHost: localhost\r\n", "unix:/a:/p%20q"},
		"unix:/run/app.sock":                {"unix", "/run/app.sock", false, "", "POST / HTTP/1.1\r\nHost: localhost\r\n", "unix:/run/app.sock:/"},
		"unix:/run/a b.sock:/ws/m?t=x:y":    {"unix", "/run/a b.sock", false, "", "POST /ws/m?t=x:y HTTP/1.1\r\nHost: localhost\r\n", "unix:/run/a b.sock:/ws/m"},
	} {
		got, err := ParseTarget(raw)
		want.head += "User-Agent: ws-gateway\r\nContent-Type: application/json\r\n"
		if err != nil || got != want || CheckURL(raw) != nil {
			t.Errorf("%s: %+v, %v", raw, got, err)
		}
	}
}

func TestCallbackURLsThatAreRefused(t *testing.T) {
	for raw, reason := range map[string]string{
		"":                                  "missing",
		"127.0.0.1:8888/hook":               "callback URL",
		"/hook":                             "no scheme",
		"ftp://app/hook":                    "scheme ftp is not supported",
		"unix:":                             "does not begin with /",
		"unix:run/app.sock":                 "does not begin with /",
		"unix:/run/app.sock:ws":             "not a path",
		"unix:/run/app.sock:/a#b":           "not a path",
		"unix:/a:/b\r\nX: ":                 "not a path",
		"unix:/" + strings.Repeat("x", 107): "over 107 bytes",
		"http:///hook":                      "no host",
		"http:hook":                         "no host",
		"http://u:p@app/":                   "user and password",
		"http://app/#top":                   "fragment",
		"http://app:port/":                  "invalid port",
		"http://bücher.example/":            "Host header",
		"http://app/\r\nX-Evil: ":           "invalid control character",
		"http://app/?u:p\t":                 "invalid control character",
		"http://app/?u:p\x00":               "invalid control character",
		"http://app/u:p\x7f":                "invalid control character",
		"http://app/%zz":                    "invalid URL escape",
	} {
		_, err := ParseTarget(raw)
		if err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%q: %v, want %q", raw, err, reason)
		}
		if err != nil && strings.Contains(err.Error(), "u:p") {
			t.Errorf("the password is shown: %v", err)
		}
	}
}

// TestTheNameIsResolvedForEachConnection has a name server of its own that gives
// another address each time.
func TestTheNameIsResolvedForEachConnection(t *testing.T) {
	dns, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	var last atomic.Uint32
	go func() {
		defer close(served)
		b := make([]byte, 1500)
		for {
			n, from, err := dns.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = dns.WriteTo(answerDNS(b[:n], byte(last.Load())), from)
		}
	}()
	defer func() { _ = dns.Close(); <-served }()
	to, err := ParseTarget("http://app.test:1/")
	if err != nil {
		t.Fatal(err)
	}
	var dialled []string
	dial := to.dialerWith(&net.Dialer{
		Resolver: &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return net.Dial("udp", dns.LocalAddr().String())
		}},
		Control: func(_, address string, _ syscall.RawConn) error {
			dialled = append(dialled, address)
			return syscall.ECONNREFUSED
		},
	})
	for i := range 3 {
		last.Store(uint32(10 + i))
		_, _ = dial(t.Context())
	}
	equal(t, "dialled", strings.Join(dialled, " "), "127.0.0.10:1 127.0.0.11:1 127.0.0.12:1")
}

// answerDNS answers a question for an address with 127.0.0.last, and any other
// with nothing.
func answerDNS(question []byte, last byte) []byte {
	end := 12
	for question[end] != 0 {
		end += int(question[end]) + 1
	}
	end += 5
	answer := append([]byte{}, question[:end]...)
	answer[2], answer[3] = 0x84, 0x80
	copy(answer[6:12], make([]byte, 6))
	if binary.BigEndian.Uint16(question[end-4:]) == 1 {
		answer[7] = 1
		answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, last)
	}
	return answer
}
