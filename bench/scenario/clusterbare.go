package scenario

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/nats-io/nats.go"

	"ws-gateway/bench/child"
)

// bareNATS publishes messages of a size through a NATS server at a rate, and returns how
// long after they were due they were received: what there is without gateways. It goes on
// for warmup before it measures.
func (s *stage) bareNATS(server *child.Process, size int, rate float64, w Window) *hdrhistogram.Histogram {
	url := "nats://" + server.Addr().String()
	from := must(nats.Connect(url))
	s.cleanup(from.Close)
	to := must(nats.Connect(url))
	s.cleanup(to.Close)
	began := time.Now()
	measured := began.Add(w.Warmup)
	times := hdrhistogram.New(1, int64(time.Minute), 3)
	received, total := 0, int(rate*(w.Warmup+w.Duration).Seconds())
	done := make(chan struct{})
	sub := must(to.Subscribe("bare", func(m *nats.Msg) {
		due := began.Add(time.Duration(binary.BigEndian.Uint64(m.Data)))
		if due.After(measured) {
			_ = times.RecordValue(int64(time.Since(due)))
		}
		if received++; received == total {
			close(done)
		}
	}))
	check(to.Flush())
	data := make([]byte, max(8, size))
	for n := range total {
		due := time.Duration(float64(n) / rate * float64(time.Second))
		if early := due - time.Since(began); early > 0 {
			time.Sleep(early)
		}
		binary.BigEndian.PutUint64(data, uint64(due))
		check(from.Publish("bare", data))
	}
	check(from.Flush())
	select {
	case <-done:
	case <-s.ctx.Done():
		check(s.ctx.Err())
	case <-time.After(restTimeout):
		check(errors.New("not all messages came through NATS"))
	}
	check(sub.Unsubscribe())
	return times
}
