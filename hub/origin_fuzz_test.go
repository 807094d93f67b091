package hub

import (
	"net/url"
	"strings"
	"testing"
)

// FuzzOrigin: what is allowed must also be of the allowed host for a browser, that
// is, for a parser of URLs.
func FuzzOrigin(f *testing.F) {
	for _, seed := range []string{"https://example.org", "https://a.example.org", "https://a.b.example.org:443", "https://evil.org/.example.org",
		"https://evil.org#.example.org", "https://evil.org@x.example.org", "https://example.org.evil.org", "HTTPS://A.EXAMPLE.ORG", "null", "https://.example.org",
		"http://app.test:8443", "https://a..example.org", "https://%61.example.org"} {
		f.Add(seed)
	}
	rules, err := parseOrigins([]string{"https://*.example.org", "http://app.test:8443"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, origin string) {
		if !rules.allow(origin) {
			return
		}
		u, err := url.Parse(strings.ToLower(origin))
		if err != nil || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
			t.Fatalf("%q is allowed: %v", origin, err)
		}
		host, sub := strings.CutSuffix(u.Host, ".example.org")
		if !(u.Scheme == "https" && sub && host != "") && !(u.Scheme == "http" && u.Host == "app.test:8443") {
			t.Fatalf("%q is allowed, of the host %q", origin, u.Host)
		}
	})
}

// FuzzOriginRules: a rule that is taken covers nothing outside its own domain.
func FuzzOriginRules(f *testing.F) {
	for _, seed := range []string{"*", "null", "https://example.org", "https://*.example.org:1", "https://*.", "https://*.*", "://x", "a://b", "https://*.a@b"} {
		f.Add(seed, "https://evil.test")
	}
	f.Fuzz(func(t *testing.T, rule, origin string) {
		rules, err := parseOrigins([]string{rule})
		if err != nil || rules.any || !rules.allow(origin) {
			return
		}
		domain := rule[strings.LastIndexAny(rule, "*/")+1:]
		if !strings.HasSuffix(strings.ToLower(origin), strings.ToLower(domain)) {
			t.Fatalf("%q allows %q", rule, origin)
		}
	})
}
