package admin

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// fetch returns the status and body of a GET.
func (r *rig) fetch(path string) (int, string) {
	r.t.Helper()
	answer, err := r.http.Get("http://" + r.addr + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

func TestProfilesAreServedOnRequestOnly(t *testing.T) {
	if status, _ := newRig(t).fetch("/debug/pprof/heap"); status != http.StatusNotFound {
		t.Errorf("without the option the status is %d", status)
	}
}

func TestProfilesAreInTheFormOfPprof(t *testing.T) {
	r := newRig(t, func(cfg *Config) { cfg.Profiles = true })
	for _, path := range []string{"heap", "goroutine", "profile?seconds=0.01"} {
		const gzip = "\x1f\x8b"
		if status, body := r.fetch("/debug/pprof/" + path); status != http.StatusOK || !strings.HasPrefix(body, gzip) {
			t.Errorf("%s: status %d, %.40q", path, status, body)
		}
	}
}

func TestAProfileThatCannotBeTakenIsRefusedWithTheReason(t *testing.T) {
	r := newRig(t, func(cfg *Config) { cfg.Profiles = true })
	profiling.Lock()
	defer profiling.Unlock()
	for path, want := range map[string]struct {
		status int
		text   string
	}{
		"cmdline":              {http.StatusNotFound, "no such profile"}, // arguments may hold a token
		"heap?seconds=1":       {http.StatusBadRequest, "unknown query parameter seconds: this route takes none"},
		"profile?second=1":     {http.StatusBadRequest, "unknown query parameter second: this route takes seconds alone"},
		"profile?seconds=0":    {http.StatusBadRequest, "above 0"},
		"profile?seconds=NaN":  {http.StatusBadRequest, "above 0"},
		"profile?seconds=3600": {http.StatusBadRequest, "at most 50"},
		"profile?seconds=many": {http.StatusBadRequest, "a number"},
		"profile?seconds=1":    {http.StatusConflict, "another profile"},
	} {
		if status, body := r.fetch("/debug/pprof/" + path); status != want.status || !strings.Contains(body, want.text) {
			t.Errorf("%q: status %d, %q", path, status, body)
		}
	}
}
