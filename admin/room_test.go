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
	await(t, "the first body to be waited for", func() bool { return r.admin.room.used.Load() == 2*body })
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
	await(t, "all room to be free again", func() bool { return r.admin.room.used.Load() == 0 })
}
