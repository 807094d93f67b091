package netpoll

import (
	"strings"
	"testing"
	"time"
)

func TestARefusingVerdictBecomesAResponse(t *testing.T) {
	for _, c := range []struct {
		name       string
		v          Verdict
		retryAfter string
		body       string
	}{
		{"with a reason", Verdict{Status: 403, Reason: "origin not allowed"}, "", "origin not allowed\n"},
		{"without one", Verdict{Status: 401}, "", "Unauthorized\n"},
		{"later", Verdict{Status: 503, Reason: "draining", RetryAfter: 2 * time.Second}, "2", "draining\n"},
		{"rounded up", Verdict{Status: 503, Reason: "draining", RetryAfter: 2*time.Second + 1}, "3", "draining\n"},
		{"at once", Verdict{Status: 503, Reason: "draining", RetryAfter: 1}, "1", "draining\n"},
		{"the longest", Verdict{Status: 503, Reason: "x", RetryAfter: 1<<63 - 1}, "9223372037", "x\n"},
		{"in the past", Verdict{Status: 503, Reason: "x", RetryAfter: -1}, "", "x\n"},
	} {
		head, body, _ := strings.Cut(string(c.v.appendRefusal(nil)), "\r\n\r\n")
		_, after, found := strings.Cut(head, "\r\nRetry-After: ")
		if body != c.body || found != (c.retryAfter != "") || after != c.retryAfter {
			t.Errorf("%s: Retry-After %q, body %q", c.name, after, body)
		}
	}
}
