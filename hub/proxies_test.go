package hub

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"ws-gateway/hub/directory"
	"ws-gateway/netpoll/wire"
)

func prefixes(list ...string) (p []netip.Prefix) {
	for _, s := range list {
		p = append(p, netip.MustParsePrefix(s))
	}
	return p
}

// request is a request of peer with header lines "Name: value".
func request(peer string, lines ...string) *wire.Request {
	r := &wire.Request{Remote: netip.MustParseAddrPort(peer)}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		r.Fields = append(r.Fields, wire.Field{Name: []byte(name), Value: []byte(value)})
	}
	return r
}

const (
	proxyPeer    = "10.0.0.1:5000"
	strangerPeer = "192.0.2.99:6000"
)

var trusted = prefixes("10.0.0.0/8", "2001:db8:ffff::/48")

func TestTheClientIsWhoTheTrustedProxiesSayItIs(t *testing.T) {
	for name, c := range map[string]struct {
		peer  string
		lines []string
		want  string
	}{
		"no header":                              {proxyPeer, nil, proxyPeer},
		"a stranger is not believed":             {strangerPeer, []string{"X-Forwarded-For: 203.0.113.7", "Forwarded: for=203.0.113.7"}, strangerPeer},
		"one address":                            {proxyPeer, []string{"X-Forwarded-For: 203.0.113.7"}, "203.0.113.7"},
		"another case":                           {proxyPeer, []string{"x-FORWARDED-for: 203.0.113.7"}, "203.0.113.7"},
		"with a port":                            {proxyPeer, []string{"X-Forwarded-For: 203.0.113.7:443"}, "203.0.113.7:443"},
		"IPv6":                                   {proxyPeer, []string{"X-Forwarded-For: 2001:db8::1"}, "2001:db8::1"},
		"IPv6 in brackets":                       {proxyPeer, []string{"X-Forwarded-For: [2001:db8::1]"}, "2001:db8::1"},
		"IPv6 with a port":                       {proxyPeer, []string{"X-Forwarded-For: [2001:db8::1]:99"}, "[2001:db8::1]:99"},
		"IPv4 written as IPv6":                   {proxyPeer, []string{"X-Forwarded-For: ::ffff:203.0.113.7"}, "203.0.113.7"},
		"what the client wrote does not count":   {proxyPeer, []string{"X-Forwarded-For: 1.2.3.4, 203.0.113.7"}, "203.0.113.7"},
		"trusted ones are skipped":               {proxyPeer, []string{"X-Forwarded-For: 1.2.3.4, 203.0.113.7, 10.1.1.1,10.2.2.2"}, "203.0.113.7"},
		"all trusted: the farthest":              {proxyPeer, []string{"X-Forwarded-For: 10.3.3.3, 10.2.2.2"}, "10.3.3.3"},
		"over several lines":                     {proxyPeer, []string{"X-Forwarded-For: 1.2.3.4, 203.0.113.7", "X-Forwarded-For: 10.2.2.2"}, "203.0.113.7"},
		"empty elements":                         {proxyPeer, []string{"X-Forwarded-For: ,203.0.113.7, ,\t,"}, "203.0.113.7"},
		"an empty header beside Forwarded":       {proxyPeer, []string{"X-Forwarded-For:", "Forwarded: for=203.0.113.7"}, "203.0.113.7"},
		"an empty Forwarded beside the other":    {proxyPeer, []string{"Forwarded: , ,", "X-Forwarded-For: 203.0.113.7", "X-Forwarded-For: ,"}, "203.0.113.7"},
		"an empty header":                        {proxyPeer, []string{"X-Forwarded-For: "}, proxyPeer},
		"nonsense ends the walk":                 {proxyPeer, []string{"X-Forwarded-For: 1.2.3.4, nonsense, 10.2.2.2"}, "10.2.2.2"},
		"nonsense from the nearest":              {proxyPeer, []string{"X-Forwarded-For: 1.2.3.4, nonsense"}, proxyPeer},
		"unknown":                                {proxyPeer, []string{"X-Forwarded-For: unknown"}, proxyPeer},
		"a zone":                                 {proxyPeer, []string{"X-Forwarded-For: fe80::1%eth0"}, proxyPeer},
		"a port that is none":                    {proxyPeer, []string{"X-Forwarded-For: 203.0.113.7:65536"}, proxyPeer},
		"a signed port":                          {proxyPeer, []string{"X-Forwarded-For: 203.0.113.7:+80"}, proxyPeer},
		"no port behind the colon":               {proxyPeer, []string{"X-Forwarded-For: 203.0.113.7:"}, proxyPeer},
		"IPv4 in brackets":                       {proxyPeer, []string{"X-Forwarded-For: [203.0.113.7]:80"}, proxyPeer},
		"an open bracket":                        {proxyPeer, []string{"X-Forwarded-For: [2001:db8::1"}, proxyPeer},
		"a stray bracket":                        {proxyPeer, []string{"X-Forwarded-For: [2001:db8::1]x:80"}, proxyPeer},
		"a leading zero":                         {proxyPeer, []string{"X-Forwarded-For: 203.0.113.07"}, proxyPeer},
		"an IPv6 proxy":                          {"[2001:db8:ffff::1]:7", []string{"X-Forwarded-For: 203.0.113.7, 2001:db8:ffff::2"}, "203.0.113.7"},
		"Forwarded":                              {proxyPeer, []string{"Forwarded: for=203.0.113.7"}, "203.0.113.7"},
		"Forwarded in another case":              {proxyPeer, []string{"forwarded: For=203.0.113.7"}, "203.0.113.7"},
		"Forwarded with all parameters":          {proxyPeer, []string{`Forwarded: by=10.0.0.1;for="203.0.113.7:8080" ; proto=https;host="a,b;c"`}, "203.0.113.7:8080"},
		"Forwarded IPv6":                         {proxyPeer, []string{`Forwarded: for="[2001:db8:cafe::17]"`}, "2001:db8:cafe::17"},
		"Forwarded IPv6 with a port":             {proxyPeer, []string{`Forwarded: for="[2001:db8:cafe::17]:4711"`}, "[2001:db8:cafe::17]:4711"},
		"Forwarded with an obfuscated port":      {proxyPeer, []string{`Forwarded: for="[2001:db8:cafe::17]:_x.y-Z9"`}, "2001:db8:cafe::17"},
		"Forwarded with a bad obfuscated port":   {proxyPeer, []string{`Forwarded: for="203.0.113.7:_"`}, proxyPeer},
		"Forwarded with an escape":               {proxyPeer, []string{`Forwarded: for="203.0\.113.7"`}, "203.0.113.7"},
		"Forwarded obfuscated":                   {proxyPeer, []string{`Forwarded: for=_mdn, for=10.2.2.2`}, "10.2.2.2"},
		"Forwarded unknown":                      {proxyPeer, []string{`Forwarded: for=1.2.3.4, for=unknown`}, proxyPeer},
		"Forwarded without for":                  {proxyPeer, []string{`Forwarded: for=1.2.3.4, proto=https`}, proxyPeer},
		"Forwarded with for twice":               {proxyPeer, []string{`Forwarded: for=1.2.3.4;for=203.0.113.7`}, proxyPeer},
		"Forwarded IPv6 without brackets":        {proxyPeer, []string{`Forwarded: for="2001:db8::1"`}, proxyPeer},
		"Forwarded with a port, unquoted":        {proxyPeer, []string{`Forwarded: for=203.0.113.7:80`}, proxyPeer},
		"Forwarded without a value":              {proxyPeer, []string{`Forwarded: for=`}, proxyPeer},
		"Forwarded with an empty value":          {proxyPeer, []string{`Forwarded: for=""`}, proxyPeer},
		"Forwarded without a pair":               {proxyPeer, []string{`Forwarded: ;;, for=203.0.113.7`}, "203.0.113.7"},
		"Forwarded over several lines":           {proxyPeer, []string{`Forwarded: for=1.2.3.4, for=203.0.113.7`, `Forwarded: for=10.9.9.9, for=10.8.8.8`}, "203.0.113.7"},
		"Forwarded after nonsense":               {proxyPeer, []string{`Forwarded: what is this, for=203.0.113.7`}, "203.0.113.7"},
		"Forwarded with text behind the string":  {proxyPeer, []string{`Forwarded: for="203.0.113.7"x`}, proxyPeer},
		"a quote cannot hide the real element":   {proxyPeer, []string{`Forwarded: for="1.2.3.4, for=203.0.113.7`}, proxyPeer},
		"nor can one that the proxy's own ends":  {proxyPeer, []string{`Forwarded: for=1.2.3.4;x=", for="[2001:db8::1]"`}, proxyPeer},
		"nor one behind nonsense":                {proxyPeer, []string{`Forwarded: for=1.2.3.4;(", for="[2001:db8::1]", for=10.1.1.1`}, proxyPeer},
		"nor one that ends with a backslash":     {proxyPeer, []string{`Forwarded: for="1.2.3.4\`}, proxyPeer},
		"both headers of one mind":               {proxyPeer, []string{"X-Forwarded-For: 1.2.3.4, 203.0.113.7", `Forwarded: for="203.0.113.7:99"`}, "203.0.113.7:99"},
		"both headers, of two minds":             {proxyPeer, []string{"X-Forwarded-For: 203.0.113.7", `Forwarded: for=1.2.3.4`}, proxyPeer},
		"both headers, and one says nothing":     {proxyPeer, []string{"X-Forwarded-For: 203.0.113.7", `Forwarded: for=unknown`}, proxyPeer},
		"no more than so many hops are believed": {proxyPeer, []string{"X-Forwarded-For: 203.0.113.7" + strings.Repeat(", 10.7.7.7", maxHops)}, "10.7.7.7"},
		"so many hops are":                       {proxyPeer, []string{"X-Forwarded-For: 203.0.113.7" + strings.Repeat(", 10.7.7.7", maxHops-1)}, "203.0.113.7"},
	} {
		p, err := newProxies(trusted)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(directory.AppendAddr(nil, p.client(request(c.peer, c.lines...)))); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestWithoutTrustedProxiesNobodyIsBelieved(t *testing.T) {
	r := request(proxyPeer, "X-Forwarded-For: 203.0.113.7", "Forwarded: for=203.0.113.7")
	if got := proxies(nil).client(r); got != r.Remote {
		t.Errorf("%v", got)
	}
	if n := testing.AllocsPerRun(10, func() { proxies(nil).client(r) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestRangesOfProxiesMeanWhatTheyAreWrittenAs(t *testing.T) {
	p, err := newProxies([]netip.Prefix{netip.MustParsePrefix("192.0.2.77/24"), netip.MustParsePrefix("::ffff:198.51.100.0/120")})
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]bool{"192.0.2.1": true, "192.0.3.1": false, "198.51.100.9": true, "198.51.101.9": false, "::1": false} {
		if got := p.trust(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
	for _, bad := range []netip.Prefix{{}, netip.MustParsePrefix("::ffff:0.0.0.0/90")} {
		if _, err := newProxies([]netip.Prefix{bad}); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}
}

// plainWalk is X-Forwarded-For by the book, from right to left.
func plainWalk(p proxies, peer netip.AddrPort, lines []string) netip.Addr {
	var elements []string
	for _, e := range strings.Split(strings.Join(lines, ","), ",") {
		if e = strings.Trim(e, " \t"); e != "" {
			elements = append(elements, e)
		}
	}
	at := peer.Addr()
	for i, e := range slices.Backward(elements) {
		if !p.trust(at) || len(elements)-i > maxHops {
			break
		}
		addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(e, "["), "]"))
		if withPort, err2 := netip.ParseAddrPort(e); err != nil && err2 == nil {
			addr, err = withPort.Addr(), nil
		} else if strings.ContainsAny(e, "[]") && (err == nil && addr.Is4() || !strings.HasPrefix(e, "[") || !strings.HasSuffix(e, "]")) {
			break
		}
		if err != nil || addr.Zone() != "" {
			break
		}
		at = addr.Unmap()
	}
	return at
}

func FuzzForwarded(f *testing.F) {
	f.Add("1.2.3.4, 203.0.113.7:80", "[2001:db8::1]:99, 10.1.1.1", `for="[2001:db8::1]:_x";proto=https, for=unknown`)
	f.Add("", "", `for="1.2.3.4, for=10.0.0.1`)
	f.Add("unknown, ::ffff:1.2.3.4", "10.0.0.1", `FOR="\1.2.3.4" ; by=_a,for=10.0.0.1;for=1.1.1.1`)
	p, err := newProxies(trusted)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, first, second, standard string) {
		common := request(proxyPeer, "X-Forwarded-For: "+first, "X-Forwarded-For: "+second)
		byCommon := p.client(common)
		if want := plainWalk(p, common.Remote, []string{first, second}); byCommon.Addr() != want {
			t.Errorf("X-Forwarded-For %q %q: %v, want %v", first, second, byCommon, want)
		}
		byStandard := p.client(request(proxyPeer, "Forwarded: "+standard))
		both := p.client(request(proxyPeer, "X-Forwarded-For: "+first, "Forwarded: "+standard, "X-Forwarded-For: "+second))
		if both.Addr() != common.Remote.Addr() && (both.Addr() != byCommon.Addr() || both.Addr() != byStandard.Addr()) {
			t.Errorf("of %v and %v became %v", byCommon, byStandard, both)
		}
		for _, a := range []netip.AddrPort{byCommon, byStandard} {
			if !a.Addr().IsValid() || a.Addr().Zone() != "" || a.Addr().Is4In6() {
				t.Errorf("%v is not an address to count by", a)
			}
		}
		// Whatever a stranger writes, what the proxy writes behind it in a line of
		// its own is what counts.
		if got := p.client(request(proxyPeer, "Forwarded: "+standard, "Forwarded: for=203.0.113.7")); got.Addr() != netip.MustParseAddr("203.0.113.7") {
			t.Errorf("Forwarded %q hid the client: %v", standard, got)
		}
		// In the same line it may make it unreadable, but never another's.
		got := p.client(request(proxyPeer, "Forwarded: "+standard+", for=203.0.113.7")).Addr()
		if got != netip.MustParseAddr("203.0.113.7") && got != common.Remote.Addr() {
			t.Errorf("Forwarded %q made the client %v", standard, got)
		}
		if stranger := request(strangerPeer, "X-Forwarded-For: "+first, "Forwarded: "+standard); p.client(stranger) != stranger.Remote {
			t.Errorf("a stranger was believed")
		}
	})
}
