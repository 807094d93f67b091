package hub

import "testing"

func TestOriginsAreAllowedByTheirRules(t *testing.T) {
	for _, c := range []struct {
		rules  []string
		origin string
		want   bool
	}{
		{nil, "https://a", true},
		{[]string{"*"}, "null", true},
		{[]string{"https://example.org"}, "https://example.org", true},
		{[]string{"https://Example.org"}, "HTTPS://example.ORG", true},
		{[]string{"https://example.org"}, "http://example.org", false},
		{[]string{"https://example.org"}, "https://example.org:8443", false},
		{[]string{"https://example.org"}, "https://a.example.org", false},
		{[]string{"https://example.org"}, "https://example.org.evil", false},
		{[]string{"https://example.org"}, "null", false},
		{[]string{"null"}, "null", true},
		{[]string{"https://*.example.org"}, "https://a.example.org", true},
		{[]string{"https://*.example.org"}, "https://a.b-c.EXAMPLE.org", true},
		{[]string{"https://*.example.org"}, "https://example.org", false},
		{[]string{"https://*.example.org"}, "https://.example.org", false},
		{[]string{"https://*.example.org"}, "https://evilexample.org", false},
		{[]string{"https://*.example.org"}, "https://evil/.example.org", false},
		{[]string{"https://*.example.org"}, "https://evil:1.example.org", false},
		{[]string{"https://*.example.org"}, "https://u@a.example.org", false},
		{[]string{"https://*.example.org"}, "https://a.example.org:8443", false},
		{[]string{"https://*.example.org"}, "http://a.example.org", false},
		{[]string{"https://*.example.org:8443"}, "https://a.example.org:8443", true},
		{[]string{"capacitor://localhost"}, "capacitor://localhost", true},
		{[]string{"https://a", "https://*.b"}, "https://x.b", true},
	} {
		o, err := parseOrigins(c.rules)
		if err != nil {
			t.Errorf("%v: %v", c.rules, err)
		} else if got := o.allow(c.origin); got != c.want {
			t.Errorf("%v allows %q: %v", c.rules, c.origin, got)
		}
	}
}

func TestARuleThatIsNoOriginIsRefused(t *testing.T) {
	for _, rule := range []string{
		"", "example.org", "https://", "://a", "https://*", "https://*.", "https://a.*.org", "https://**.org",
		"https://example.org/", "https://example.org/path", "https://u@example.org", "https://a b", "1http://a",
	} {
		if o, err := parseOrigins([]string{rule}); err == nil {
			t.Errorf("%q became %+v", rule, o)
		}
	}
}
