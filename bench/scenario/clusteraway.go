package scenario

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"ws-gateway/badlink"
	"ws-gateway/bench/child"
)

// away cuts two gateways off from NATS for a second while one sends to a connection of the
// other, a thousand times a second.
func (c Cluster) away(s *stage) {
	const rate, before, cut, after = 1000, time.Second, time.Second, 2 * time.Second
	server := s.self("NATS server", "nats-server")
	var links [2]*badlink.Link
	var all [2]*child.Process
	for i := range all {
		links[i] = must(badlink.New(server.Addr()))
		s.cleanup(links[i].Close)
		all[i] = s.gateway("", append([]string{"--cluster", "nats://" + links[i].Addr(), "--cluster-app", "bench", "--cluster-name", "gateway-" + strconv.Itoa(i)}, patient...)...)
	}
	for _, g := range all {
		s.awaitPeers(g, 1)
	}
	s.users(all[1], 1)
	s.pause(c.Warmup, all[:]...)
	frames := func() float64 { return scraped(all[1])["sent_frames_total"] }
	was := frames()
	body := []byte(`{` + usersMember(0, 1) + `,"payload":"x"}`)
	client := &http.Client{Timeout: apiTimeout}
	defer client.CloseIdleConnections()
	began, calls, named := time.Now(), 0, 0
	s.show("sending")
	for stage := 0; ; calls++ {
		now := time.Since(began)
		if stage == 0 && now > before || stage == 1 && now > before+cut {
			stage++
			for _, l := range links {
				l.Cut(stage == 1)
			}
		}
		if now > before+cut+after {
			break
		}
		if early := time.Duration(calls)*time.Second/rate - now; early > 0 {
			time.Sleep(early)
		}
		whole, err := sendOn(client, all[0].Addr(), body)
		check(errors.Join(err, s.ctx.Err()))
		if !whole {
			named++
		}
	}
	came := until(s, restTimeout, sampling, func() float64 { return frames() - was }, func(n float64) bool { return n >= float64(calls) }, all[:]...)
	if named == 0 {
		check(errors.New("no answer named the gateway that was cut off: nothing was measured"))
	}
	s.add("NATS away for a second: calls", "", float64(calls))
	s.add("NATS away for a second: calls whose answer names a gateway", "", float64(named))
	s.add("NATS away for a second: lost", "", float64(calls)-came)
	s.add("NATS away for a second: given up by the sender", "", scraped(all[0])["cluster_messages_given_up_total{old}"]+scraped(all[0])["cluster_messages_given_up_total{full}"])
}

// sendOn makes a call. whole says that its answer names no gateway that was not reached.
func sendOn(client *http.Client, gateway netip.AddrPort, body []byte) (whole bool, err error) {
	resp, err := client.Post("http://"+gateway.String()+"/tapr/ws/conn/send", "application/json", bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return false, err
	case bytes.HasPrefix(answer, []byte(`{"code":0`)):
		return true, nil
	case bytes.HasPrefix(answer, []byte(`{"code":502`)):
		return false, nil
	}
	return false, fmt.Errorf("a send was answered %.200q", answer)
}

// clusterArgs make gateway number i one of a cluster.
func clusterArgs(server *child.Process, i int) []string {
	return []string{"--cluster", "nats://" + server.Addr().String(), "--cluster-app", "bench", "--cluster-name", "gateway-" + strconv.Itoa(i)}
}

// gateways are a NATS server and three gateways that know each other.
func (s *stage) gateways() (server *child.Process, all []*child.Process) {
	server = s.self("NATS server", "nats-server")
	for i := range together {
		all = append(all, s.gateway("", append(clusterArgs(server, i), patient...)...))
	}
	s.show("waiting for the gateways to know each other")
	for _, g := range all {
		s.awaitPeers(g, together-1)
	}
	return server, all
}
