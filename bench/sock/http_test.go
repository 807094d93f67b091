package sock

import (
	"strings"
	"testing"
)

func TestMessagesAreReadWholeOrNotAtAll(t *testing.T) {
	const most = 1 << 20
	whole := "POST /callback HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nX-Attempt: 1\r\n\r\nhello"
	for i := range len(whole) {
		if m, err := ReadHTTP([]byte(whole[:i]), most); m.Size != 0 || err != nil {
			t.Errorf("%d bytes: %d, %v", i, m.Size, err)
		}
	}
	m, err := ReadHTTP([]byte(whole+"POST"), most)
	if err != nil || m.Size != len(whole) || string(m.Line) != "POST /callback HTTP/1.1" || string(m.Body) != "hello" {
		t.Errorf("got %q, %q, %d, %v", m.Line, m.Body, m.Size, err)
	}
	for _, wrong := range []string{
		"POST /callback HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "POST /callback HTTP/1.1\r\nContent-Length: many\r\n\r\n",
		"POST /callback HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", strings.Repeat("x", mostHead+1),
	} {
		if _, err := ReadHTTP([]byte(wrong), most); err == nil {
			t.Errorf("%.60q was taken", wrong)
		}
	}
}
