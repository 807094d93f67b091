package sink

import (
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
func (c Control) CallbackURL() string { return c.url(CallbackPath) }

func (c Control) url(path string) string { return "http://" + c.addr.String() + path }

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

// do makes one request on a connection of its own.
func (c Control) do(method, path, body string) ([]byte, error) {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.Header.SetMethod(method)
	req.SetRequestURI(c.url(path))
	req.SetBodyString(body)
	req.SetConnectionClose()
	client := fasthttp.HostClient{Addr: c.addr.String()}
	if err := client.DoTimeout(req, resp, controlTimeout); err != nil {
		return nil, fmt.Errorf("speaking to the sink: %w", err)
	}
	if resp.StatusCode() != fasthttp.StatusOK {
		return nil, fmt.Errorf("the sink answered %d to %s", resp.StatusCode(), path)
	}
	return append([]byte(nil), resp.Body()...), nil
}
