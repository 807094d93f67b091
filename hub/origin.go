package hub

import (
	"fmt"
	"strings"
)

// originRules say which web pages may open connections. Only browsers send an
// Origin header, and the rules protect against foreign pages in a browser (RFC 6455,
// 10.2), so a request without the header passes.
type originRules struct {
	any   bool
	exact []string
	wild  []wildOrigin
}

// wildOrigin matches all subdomains, at any depth, of a domain, with one scheme and
// port.
type wildOrigin struct {
	scheme string // with "://"
	domain string // with the leading dot and the port
}

// parseOrigins reads rules of the forms "*", "null", "https://example.org",
// "https://example.org:8443" and "https://*.example.org". Without rules any origin
// is allowed.
func parseOrigins(rules []string) (o originRules, err error) {
	o.any = len(rules) == 0
	for _, rule := range rules {
		scheme, host, ok := strings.Cut(strings.ToLower(rule), "://")
		domain, wild := strings.CutPrefix(host, "*.")
		switch {
		case rule == "*":
			o.any = true
		case rule == "null":
			o.exact = append(o.exact, rule)
		case !ok || !isScheme(scheme) || domain == "" || strings.ContainsAny(domain, "*/?#@ \t"):
			return originRules{}, fmt.Errorf("hub: %q is not an allowed origin: write *, null, "+
				"https://example.org or https://*.example.org, without a path", rule)
		case wild:
			o.wild = append(o.wild, wildOrigin{scheme + "://", "." + domain})
		default:
			o.exact = append(o.exact, scheme+"://"+host)
		}
	}
	return o, nil
}

// IsOriginRule reports whether rule can be one of Config.AllowedOrigins.
func IsOriginRule(rule string) bool {
	_, err := parseOrigins([]string{rule})
	return err == nil
}

// PagesAllowed says whether the rules of Config.AllowedOrigins let any web page
// connect, and whether they let the origin null connect: any page can have that, by
// opening a sandboxed frame.
func PagesAllowed(rules []string) (anyOrigin, null bool) {
	o, err := parseOrigins(rules)
	return err == nil && o.any, err == nil && o.allow("null")
}

// allow reports whether the value of an Origin header is allowed.
func (o *originRules) allow(origin string) bool {
	if o.any {
		return true
	}
	for _, exact := range o.exact {
		if strings.EqualFold(exact, origin) {
			return true
		}
	}
	if len(o.wild) == 0 {
		return false
	}
	origin = strings.ToLower(origin)
	for _, w := range o.wild {
		sub, ok := strings.CutPrefix(origin, w.scheme)
		if !ok {
			continue
		}
		if sub, ok = strings.CutSuffix(sub, w.domain); ok && isHostName(sub) {
			return true
		}
	}
	return false
}

// isHostName reports whether s can be labels of a host name. Anything that would end
// the host, such as a port, cannot.
func isHostName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_'
		inner := c == '.' && 0 < i && i < len(s)-1
		if !letter && !inner {
			return false
		}
	}
	return s != ""
}

// isScheme reports whether s, in lower case, is a URI scheme (RFC 3986, 3.1).
func isScheme(s string) bool {
	for i := range len(s) {
		c := s[i]
		rest := '0' <= c && c <= '9' || c == '+' || c == '-' || c == '.'
		if !('a' <= c && c <= 'z' || i > 0 && rest) {
			return false
		}
	}
	return s != ""
}
