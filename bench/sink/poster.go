package sink

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"ws-gateway/bench/load"
)

// Poster makes the POSTs that the gateway would make, one for each event, with a bare
// fasthttp client: what forwarding costs when there is nothing else to do. Each
// connection opens, and then sends messages.
type Poster struct {
	Target      netip.AddrPort // a Counter
	Message     *load.Message
	Conns       int // connections that the messages pretend to be from
	Concurrency int // POSTs under way at one time, at most one of each connection
}

const postTimeout = 10 * time.Second

// Run POSTs until ctx is done, or the first failure.
func (p Poster) Run(ctx context.Context) error {
	client := &fasthttp.HostClient{
		Addr: p.Target.String(), MaxConns: p.Concurrency, ReadTimeout: postTimeout, WriteTimeout: postTimeout,
		MaxIdleConnDuration: time.Minute, Name: "ws-gateway",
	}
	defer client.CloseIdleConnections()
	var (
		wg      sync.WaitGroup
		stop    atomic.Bool
		workers = min(p.Concurrency, p.Conns)
		errs    = make([]error, workers)
	)
	defer context.AfterFunc(ctx, func() { stop.Store(true) })()
	for i := range workers {
		wg.Go(func() {
			if errs[i] = p.work(client, i, &stop); errs[i] != nil {
				stop.Store(true)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// work POSTs events of every Concurrency-th connection from first on, in turn.
func (p Poster) work(client *fasthttp.HostClient, first int, stop *atomic.Bool) error {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.Header.SetMethod(fasthttp.MethodPost)
	req.Header.SetContentType("application/json")
	req.Header.SetHost(client.Addr)
	req.Header.Set("X-Ws-Epoch", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
	req.Header.Set("X-Attempt", "1")
	req.SetRequestURI(CallbackPath)
	var body, id []byte
	for number := uint32(1); ; number++ {
		for conn := first; conn < p.Conns; conn += p.Concurrency {
			if stop.Load() {
				return nil
			}
			id = fmt.Appendf(id[:0], "bareclientconnection%04x", uint16(conn)) // as long as the gateway's
			body = p.appendEvent(body[:0], conn, number, id)
			id = strconv.AppendUint(append(id, '-'), uint64(number), 10)
			req.Header.SetBytesV("X-Request-Id", id)
			req.SetBodyRaw(body)
			if err := client.Do(req, resp); err != nil {
				return fmt.Errorf("posting to %v: %w", p.Target, err)
			}
			if status := resp.StatusCode(); status != fasthttp.StatusOK {
				return fmt.Errorf("%v answered %d", p.Target, status)
			}
		}
	}
}

func (p Poster) appendEvent(dst []byte, conn int, number uint32, id []byte) []byte {
	dst = append(dst, dataKey...)
	if number == 1 {
		dst = append(dst, openTail...)
	} else {
		dst = append(p.Message.Append(dst, uint32(conn), number-2), messageTail...)
	}
	dst = append(dst, `"user_name":"user-`...)
	dst = strconv.AppendInt(dst, int64(1_000_000+conn), 10)
	dst = append(dst, `",`...)
	dst = append(dst, connKey...)
	dst = append(dst, id...)
	return append(dst, `"}`...)
}
