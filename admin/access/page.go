package access

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

// ownPage reports whether a header is compatible with a request that no page sent, or
// that a page of our own origin sent. Browsers add Origin to requests that may change
// something, Sec-Fetch-Site to all, and Referer to what a page loads unless the page asks
// them not to. No page can make them send another page's.
//
// Our own origin is http:// and the Host that the request is for, if that is a loopback
// address of this host: a page that was loaded from there came from here, or through a
// tunnel that ends here and may have another port. Addresses that others can reach do not
// count, because there a proxy may serve strangers' pages under the same origin. A link to
// the console may be on any page.
func ownPage(h *fasthttp.RequestHeader, who Audience, name, value []byte) bool {
	switch {
	case named(name, fasthttp.HeaderOrigin):
		return hostOf(h) == loopbackHost && string(value) == "http://"+string(h.Host())
	case named(name, fasthttp.HeaderReferer):
		return who == Browsers || hostOf(h) == loopbackHost && bytes.HasPrefix(value, []byte("http://"+string(h.Host())+"/"))
	case named(name, "Sec-Fetch-Site"):
		return who == Browsers || string(value) == "same-origin" || string(value) == "none"
	}
	return true
}
