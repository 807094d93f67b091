//go:build proxies

package proxies

import (
	"net/http"
	"testing"
)

func TestWhenTheProxyEndsSoDoConnectionsAndTheAppIsTold(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		s := setUp(t, k, true)
		const crowd = 20
		clients, conns := make([]*client, crowd), make([]string, crowd)
		for i := range crowd {
			uri := target()
			clients[i] = connect(t, s.proxy.addr, uri, k.signIn("alice"))
			conns[i] = s.app.open(t, uri).Conn
		}
		s.proxy.stop()
		for i := range crowd {
			clients[i].awaitEnd()
			// Caddy sends close frames to both sides, up to 2.6 without the mask that is
			// demanded of clients. The others hang up.
			e := s.app.close(t, conns[i])
			if e.Code != 1006 && !(k.language == "caddyfile" && (e.Code == 1001 || e.Code == 1002)) {
				t.Errorf("close event with code %d by %s", e.Code, e.Initiator)
			}
		}
		s.proxy.again()
		s.ready(t)
		until(t, "one close for each open", func() bool { opened, closed := s.app.counts(); return opened == closed })
	})
}

func TestAfterARestartOfTheGatewayClientsComeBackThroughTheProxy(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		s := setUpBare(t, k, true, checkedGateway, "--drain-period", "0s", "--close-timeout", "100ms")
		uri := target()
		c := connect(t, s.proxy.addr, uri, k.signIn("alice"))
		open := s.app.open(t, uri)
		s.gateway.stop()
		c.awaitEnd()
		if e := s.app.close(t, open.Conn); e.Code != 1001 || e.Initiator != "gateway" {
			t.Errorf("close event with code %d by %s", e.Code, e.Initiator)
		}
		if _, status, _ := ask(t, s.proxy.addr, upgrade(target())+k.signIn("alice")+"\r\n"); status != http.StatusBadGateway && status != http.StatusServiceUnavailable {
			t.Errorf("while the gateway is gone clients get %d", status)
		}
		if !s.gateway.run(t, s.gateway.addr) {
			t.Fatal("the gateway does not start again")
		}
		s.ready(t)
	})
}
