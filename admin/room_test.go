package admin

import (
	"fmt"
	"strings"
	"testing"
)

func TestARoomTakesOneOfAnySizeAndNoMoreThanItsLimitOfOthers(t *testing.T) {
	var r room
	r.limit.Store(100)
	first, second, third := &place{room: &r}, &place{room: &r}, &place{room: &r}
	if !first.grow(60) || !first.grow(500) {
		t.Error("alone it may not grow")
	}
	if second.grow(1) {
		t.Error("there is room for another one in a room that is full")
	}
	first.keep(40)
	if !second.grow(60) || third.grow(1) || first.grow(1) {
		t.Errorf("%d of 100 are used", r.used.Load())
	}
	first.keep(70) // no more than it has
	first.leave()
	first.leave()
	if !third.grow(40) || r.used.Load() != 100 || r.refused.Load() != 3 {
		t.Errorf("%d of 100 are used, %d were refused", r.used.Load(), r.refused.Load())
	}
}

func TestBodiesThatDoNotFitTogetherAreRefusedBeforeTheyAreRead(t *testing.T) {
	const body = 40_000
	r := newRig(t, func(c *Config) { c.Memory = 3 * body })
	half := strings.Repeat("x", body/2)
	first := r.wire().write(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", sendPath, body, half))
	await(t, "the first body to be waited for", func() bool { return r.admin.rooms.commands.used.Load() == 2*body })
	second := r.wire().write(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", sendPath, body, half[:10_000]))
	if got := second.read("POST"); got.status != 503 || got.header.Get("Retry-After") == "" || !strings.Contains(got.body, "--api-memory") {
		t.Errorf("the second is answered with %d %s", got.status, got.body)
	}
	if got := r.do("POST", sendPath, oneSend); got.status != 200 {
		t.Errorf("a small one is answered with %d %s", got.status, got.body)
	}
	first.write(half)
	if got := first.read("POST"); !strings.Contains(got.body, `"code":400`) {
		t.Errorf("the first is answered with %d %s", got.status, got.body)
	}
	await(t, "all room to be free again", func() bool { return r.admin.rooms.commands.used.Load() == 0 })
}

// A body of three bytes a name becomes more than the body, unless somebody counts.
func TestWhatIsMadeOfABodyCounts(t *testing.T) {
	const limit = 240_000
	body := func(name string, n int) []byte {
		return []byte(`{"payload":1,"users":["a"],"` + name + `":["x"` + strings.Repeat(`,""`, n-1) + `]}`)
	}
	for _, name := range []string{"users", "conns", "exclude"} {
		var r room
		r.limit.Store(1)
		at := r.newPlace()
		if _, err := parseSend(body(name, limit/nameCost), at, limit); name != "users" && err != errNames {
			t.Errorf("%s, with a user beside: %v", name, err)
		}
		if _, err := parseSend(body(name, limit/nameCost-1), at, limit); err != nil || r.used.Load() < (limit/nameCost-1)*nameCost || r.used.Load() > 3*limit {
			t.Errorf("%s: %v, %d bytes count", name, err, r.used.Load())
		}
		if allocated := testing.AllocsPerRun(1, func() { parseSend(body(name, limit), nil, limit) }); allocated > 20 {
			t.Errorf("%s: %v allocations for what is refused", name, allocated)
		}
		other := r.newPlace()
		if _, err := parseClose(body(name, 10), other, limit); err != errNoRoom {
			t.Errorf("%s: in a full room: %v", name, err)
		}
		if _, err := parseSend([]byte(`{"payload":"\u0061","encoding":"text","all":true}`), other, limit); err != errNoRoom {
			t.Errorf("a message that is decoded: %v", err)
		}
		other.Release()
		at.Release()
		if r.used.Load() != 0 {
			t.Errorf("%s: %d bytes stay", name, r.used.Load())
		}
	}
}

func TestMoreNamesThanABodyMayHaveAreRefused(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxBodyBytes = 96 << 10 })
	if got := r.do("POST", sendPath, `{"payload":1,"users":[""`+strings.Repeat(`,""`, 5000)+`]}`); got.status != 413 || !strings.Contains(got.body, "several calls") {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := r.do("POST", sendPath, `{"payload":1,"users":[""`+strings.Repeat(`,""`, 4000)+`]}`); got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// Who does not read a list holds memory for it. Others' lists then have to wait, and
// nobody's commands.
func TestListsThatNobodyReadsAreBounded(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Memory = 3 * listShare * listMemory })
	const held = 3
	for range held {
		if !r.admin.rooms.lists.newPlace().grow(listMemory) {
			t.Fatal("no room for a list")
		}
	}
	for _, request := range []string{"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n"} {
		got := r.wire().write(fmt.Sprintf(request, listPath)).read("GET")
		if got.status != 503 || got.header.Get("Retry-After") == "" || !strings.Contains(got.body, "--api-memory") {
			t.Errorf("one more list: %d %s", got.status, got.body)
		}
	}
	if got := r.do("POST", sendPath, oneSend); got.status != 200 {
		t.Errorf("a command: %d %s", got.status, got.body)
	}
	r.admin.rooms.lists.used.Store(0)
	for _, request := range []string{"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n", "HEAD %s HTTP/1.1\r\nHost: localhost\r\n\r\n", "HEAD %s HTTP/1.0\r\nHost: localhost\r\n\r\n"} {
		method, _, _ := strings.Cut(request, " ")
		if got := r.wire().write(fmt.Sprintf(request, listPath)).read(method); got.status != 200 {
			t.Errorf("%q: %d %s", request, got.status, got.body)
		}
	}
	await(t, "all room to be free again", func() bool { return r.admin.rooms.lists.used.Load() == 0 })
}
