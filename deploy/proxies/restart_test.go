//go:build proxies

package proxies

import (
	"net/http"
	"slices"
	"syscall"
	"testing"

	"ws-gateway/e2e/harness"
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
		harness.Poll(t, "one close for each open", func() bool { opened, closed := s.app.counts(); return opened == closed })
	})
}

func TestAfterARestartOfTheGatewayClientsComeBackThroughTheProxy(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		s := setUpBare(t, k, true, harness.Binary(t), "--drain-period", "0s", "--close-timeout", "100ms")
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

func TestAReloadOfTheProxyLetsConnectionsBe(t *testing.T) {
	signals := map[string]syscall.Signal{"nginx": syscall.SIGHUP, "apache": syscall.SIGUSR1}
	for _, k := range kinds {
		signal, reloads := signals[k.language]
		if !reloads {
			continue // HAProxy does so as a new process, and Caddy closes them
		}
		t.Run(k.name, func(t *testing.T) {
			s := setUp(t, k, true)
			c := connect(t, s.proxy.addr, target(), k.signIn("alice"))
			before := s.proxy.children(t)
			if err := s.proxy.cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			harness.Poll(t, "new workers", func() bool {
				return slices.ContainsFunc(s.proxy.children(t), func(child string) bool { return !slices.Contains(before, child) })
			})
			s.ready(t)
			c.say(`{"event":"ping"}`)
			c.expect(`{"event":"pong"}`)
		})
	}
}
