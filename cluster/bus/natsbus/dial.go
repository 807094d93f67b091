package natsbus

import (
	"context"
	"math/rand/v2"
	"net"
	"time"

	"ws-gateway/exchange"
)

// dialer connects a client to one of a server's addresses.
type dialer struct {
	last net.Conn // a client does not close one on which a server has not said what it should
}

// Dial implements nats.CustomDialer. It takes dialTimeout at most, looking for the addresses
// included.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	if d.last != nil {
		d.last.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	hosts := []string{host}
	if net.ParseIP(host) == nil {
		if hosts, err = net.DefaultResolver.LookupHost(ctx, host); err != nil {
			return nil, err
		}
	}
	conn, err := dialAny(ctx, hosts, func(ctx context.Context, host string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(host, port))
	})
	if err != nil {
		return nil, err
	}
	d.last = conn
	return exchange.NewConn(conn), nil
}

// dialAny tries hosts in random order, so that not all clients are at the same server. Each
// has an equal share of the time that is left: one that does not answer leaves some to the
// others. The error is the last host's.
func dialAny(ctx context.Context, hosts []string, dial func(ctx context.Context, host string) (net.Conn, error)) (conn net.Conn, err error) {
	end, _ := ctx.Deadline()
	for i, n := range rand.Perm(len(hosts)) {
		share, cancel := context.WithTimeout(ctx, time.Until(end)/time.Duration(len(hosts)-i))
		conn, err = dial(share, hosts[n])
		cancel()
		if err == nil {
			return conn, nil
		}
	}
	return nil, err
}
