package admin

import (
	"fmt"
	"strings"
	"testing"
)

func TestBodiesThatDoNotFitTogetherAreRefusedBeforeTheyAreRead(t *testing.T) {
	const body = 40_000
	r := newRig(t, func(c *Config) { c.Memory = 3 * body })
	half := strings.Repeat("x", body/2)
	first := r.wire().write(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", sendPath, body, half))
	await(t, "the first body to be waited for", func() bool { return r.metric("ws_gateway_memory_used_bytes", "api") == 2*body })
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
	await(t, "all memory to be free again", func() bool { return r.metric("ws_gateway_memory_used_bytes", "api") == 0 })
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

// A list that is not read holds its memory. Others' lists are refused then, and nobody's
// commands.
func TestListsThatNobodyReadsAreBounded(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Memory = 3 * listShare * listMemory })
	const held = 3
	lists := r.admin.memory.lists.Reserve()
	if !lists.Grow(held * listMemory) {
		t.Fatal("no room for lists")
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
	lists.Release()
	for _, request := range []string{"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n", "HEAD %s HTTP/1.1\r\nHost: localhost\r\n\r\n", "HEAD %s HTTP/1.0\r\nHost: localhost\r\n\r\n"} {
		method, _, _ := strings.Cut(request, " ")
		if got := r.wire().write(fmt.Sprintf(request, listPath)).read(method); got.status != 200 {
			t.Errorf("%q: %d %s", request, got.status, got.body)
		}
	}
	await(t, "all memory to be free again", func() bool { return r.metric("ws_gateway_memory_used_bytes", "api") == 0 })
}
