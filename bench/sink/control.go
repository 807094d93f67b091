package sink

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/valyala/fasthttp"
)

const controlTimeout = 10 * time.Second

// Control speaks to an App in another process.
type Control struct{ addr netip.AddrPort }

// At controls the App that serves at addr.
func At(addr netip.AddrPort) Control { return Control{addr} }

// CallbackURL is what the gateway must call.
func (c Control) CallbackURL() string { return "http://" + c.addr.String() + CallbackPath }

// SetGateway is App.SetGateway.
func (c Control) SetGateway(addr netip.AddrPort) error {
	_, err := c.do(fasthttp.MethodPut, GatewayPath, addr.String())
	return err
}

// Stats is App.Stats.
func (c Control) Stats() (Stats, error) {
	body, err := c.do(fasthttp.MethodGet, StatsPath, "")
	if err != nil {
		return Stats{}, err
	}
	var s Stats
	if err := json.Unmarshal(body, &s); err != nil {
		return Stats{}, fmt.Errorf("reading the sink's counts: %w", err)
	}
	return s, nil
}

func (c Control) do(method, path, body string) ([]byte, error) {
	answer, err := Call(c.addr, method, path, []byte(body), controlTimeout)
	if err != nil {
		return nil, fmt.Errorf("speaking to the sink: %w", err)
	}
	return answer, nil
}

// Call makes one request on a connection of its own, and returns the body of an
// answer that says 200.
func Call(addr netip.AddrPort, method, path string, body []byte, timeout time.Duration) ([]byte, error) {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.Header.SetMethod(method)
	req.SetRequestURI("http://" + addr.String() + path)
	req.SetBodyRaw(body)
	req.SetConnectionClose()
	client := fasthttp.HostClient{Addr: addr.String()}
	if err := client.DoTimeout(req, resp, timeout); err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode() != fasthttp.StatusOK {
		return nil, fmt.Errorf("%s %s: status %d, %.200q", method, path, resp.StatusCode(), resp.Body())
	}
	return bytes.Clone(resp.Body()), nil
}
