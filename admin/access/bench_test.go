package access

import (
	"testing"

	"github.com/valyala/fasthttp"
)

func BenchmarkAccessRules(b *testing.B) {
	r, err := New(Config{UserHeader: "X-Bfl-User"})
	if err != nil {
		b.Fatal(err)
	}
	var h fasthttp.RequestHeader
	h.SetHost("127.0.0.1:40010")
	for _, name := range []string{"User-Agent", "Accept", "Content-Type", "Accept-Encoding", "Connection"} {
		h.Set(name, "something or other")
	}
	b.ReportAllocs()
	for b.Loop() {
		if no := r.Check(&h, Loopback, Managers); no.Status != 0 {
			b.Fatal(no)
		}
	}
}
