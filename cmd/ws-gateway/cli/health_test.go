package cli

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

func TestHealthPrintsTheAnswerOrSaysWhatIsWrong(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" {
			w.WriteHeader(http.StatusServiceUnavailable)
			io.WriteString(w, "draining\n")
			return
		}
		io.WriteString(w, "ok "+r.URL.RequestURI()+"\n")
	}))
	defer server.Close()
	nobody := "unix:" + filepath.Join(t.TempDir(), "none.sock")
	for _, test := range []struct{ at, path, out, err string }{
		{server.URL, "/healthz", "ok /healthz\n", ""},
		{server.URL + "/behind?x=1", "", "ok /behind?x=1\n", ""},
		{server.URL, "/readyz", "", "health: " + server.URL + "/readyz answers 503 Service Unavailable: draining"},
		{nobody, "/healthz", "", "health: no gateway at " + nobody + ": no such file or directory"},
	} {
		var out strings.Builder
		err := Health(&out, test.at, test.path)
		if got := errorText(err); got != test.err || out.String() != test.out {
			t.Errorf("%s%s: %q, %q", test.at, test.path, &out, got)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
