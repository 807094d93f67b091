package httptoken

import (
	"net/http"
	"strings"
	"testing"
)

// The standard library refuses to send a header whose name is no token.
func sends(name string) bool {
	request, err := http.NewRequest(http.MethodGet, "http://127.0.0.1:1/", nil)
	if err != nil {
		panic(err)
	}
	request.Header = http.Header{name: {"x"}}
	_, err = new(http.Transport).RoundTrip(request)
	return !strings.Contains(err.Error(), "invalid header field name")
}

func TestATokenIsWhatTheStandardLibraryTakesForAHeadersName(t *testing.T) {
	names := []string{"", "a", "X-Bfl-User", "a b", "ä"}
	for c := range 256 {
		names = append(names, string([]byte{'a', byte(c)}))
	}
	for _, name := range names {
		if got, want := Is(name), sends(name); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}
