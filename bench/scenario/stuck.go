package scenario

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"ws-gateway/bench/load"
)

// Stuck measures what others notice while a share of all callbacks, 0 to 1, hang
// in the app for a while: their round trips, in the open loop at t.Rate. The
// messages that hang come from connections of their own, as many as it takes that
// none of them waits behind another.
func Stuck(conns int, share float64, hang time.Duration, t Traffic) (Case, error) {
	m, err := load.Event(t.Size)
	if err != nil {
		return Case{}, err
	}
	if t.Rate <= 0 || share < 0 || share >= 1 {
		return Case{}, errors.New("stuck needs a rate above 0, and a share of hanging callbacks from 0 to below 1")
	}
	x := stuck{conns: conns, rate: t.Rate * share, hang: hang, traffic: t, message: m}
	x.traffic.Rate = t.Rate - x.rate
	x.others = int(x.rate*hang.Seconds()*1.5) + 1
	name := fmt.Sprintf("%s, no callback hangs", t.describe(conns))
	if share > 0 {
		name = fmt.Sprintf("%s, %s %% of callbacks hang %v", t.describe(conns), strconv.FormatFloat(100*share, 'g', -1, 64), hang)
	}
	return Case{Scenario: "stuck", Name: name, round: x.round}, nil
}

type stuck struct {
	conns   int     // those that are measured
	others  int     // those whose callbacks hang
	rate    float64 // of these, a second
	hang    time.Duration
	traffic Traffic // of those that are measured
	message *load.Message
}

// hungUser begins the names of users whose callbacks hang.
const hungUser = "hung-"

// stuckGoal is section 4's "p99 of the others" for 2,000 messages a second of which
// one in a hundred hangs.
const stuckGoal = 10

func (x stuck) round(ctx context.Context, s stage) (outcome, error) {
	gateway, app, control, err := s.Servers.startAround(ctx, []string{"--mute", hungUser, "--hang", x.hang.String()}, patient)
	if err != nil {
		return outcome{}, err
	}
	defer app.Stop(stopGrace)
	defer gateway.Stop(stopGrace)
	c, err := s.connect(ctx, load.Config{Target: gateway.Addr(), Header: identity(0)}, x.conns)
	if err != nil {
		return outcome{}, err
	}
	defer c.Close()
	if x.rate > 0 {
		hung, err := s.connect(ctx, load.Config{Target: gateway.Addr(), Header: func(dst []byte, conn int) []byte {
			return fmt.Appendf(dst, "X-Bfl-User: %s%d\r\n", hungUser, conn)
		}}, x.others)
		if err != nil {
			return outcome{}, err
		}
		defer hung.Close()
		defer hung.Start(load.Traffic{Message: x.message, Rate: x.rate, OneWay: true}).End()
		if err := pause(ctx, x.hang, nil); err != nil { // until as many hang as ever will
			return outcome{}, err
		}
	}
	r, used, err := s.window(ctx, c, x.traffic, x.message, gateway, app)
	if err != nil {
		return outcome{}, err
	}
	all, err := scrape(gateway.Addr())
	if err != nil {
		return outcome{}, err
	}
	if seen, err := control.Stats(); err != nil || seen.Failed > 0 {
		return outcome{}, errors.Join(err, fmt.Errorf("the app reports %d failures: %s", seen.Failed, seen.Failure))
	}
	var o outcome
	o.addTraffic(r, s.Busy)
	for i, f := range o.figures {
		if f.Name == "latency p99" {
			o.figures[i].Goal = stuckGoal
		}
	}
	o.add("round trips", "1/s", r.Rate())
	o.add("callbacks in flight at the end", "", all["callbacks_in_flight"])
	o.add("gateway CPU, a million", "s", used[0].perMillion(r.Messages))
	return o, nil
}
