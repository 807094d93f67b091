package admin

import (
	"net/http"
	"strings"
	"testing"
)

func TestWithATokenOnlyThePageItselfIsServedWithoutIt(t *testing.T) {
	r := newRig(t, func(cfg *Config) { cfg.Token = "right" })
	for _, path := range []string{"/console/", "/console/main.js"} {
		if got := r.do("GET", path, ""); got.status != http.StatusOK {
			t.Errorf("%s: %d", path, got.status)
		}
	}
	for _, path := range []string{"/tapr/ws/conn/events", "/tapr/ws/status", "/tapr/ws/config", "/metrics", "/tapr/ws/conn/list"} {
		if got := r.do("GET", path, ""); got.status != http.StatusUnauthorized {
			t.Errorf("%s: %d", path, got.status)
		}
	}
	if got := r.do("GET", "/tapr/ws/status", "", "Authorization: Bearer right", "Origin: http://"+r.addr); got.status != http.StatusOK {
		t.Errorf("with the token: %d %s", got.status, got.body)
	}
}

func TestAPreflightIsNeverAnswered(t *testing.T) {
	for _, token := range []string{"", "right"} {
		r := newRig(t, func(cfg *Config) { cfg.Token = token })
		for _, path := range []string{"/tapr/ws/conn/send", "/console/"} {
			got := r.do("OPTIONS", path, "", "Origin: https://example.org", "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization")
			if got.status < 400 {
				t.Errorf("%s: %d", path, got.status)
			}
			for name := range got.header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("%s: %s", path, name)
				}
			}
		}
	}
}
