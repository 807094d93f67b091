package scenario

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"ws-gateway/bench/load"
)

// Stuck measures what others notice while a share of all callbacks hangs in the app
// for a while: their round trips, in the open loop. The messages that hang come
// from connections of their own, as many as it takes that none of them waits behind
// another.
type Stuck struct {
	Conns   []int         `default:"1000" placeholder:"N" help:"Connections that are measured; several numbers are several cases."`
	Hang    []float64     `default:"0,1" placeholder:"PERCENT" help:"Share of the callbacks that hang; several numbers are several cases."`
	HangFor time.Duration `default:"2s" placeholder:"DUR" help:"How long they do."`
	Rate    float64       `default:"2000" placeholder:"N" help:"Messages a second, those that hang included."`
	Size    int           `default:"64" placeholder:"BYTES" help:"Payload of a message."`
	Window
}

// Cases are one for each number of connections and share.
func (x Stuck) Cases(Options) (cases []Case, err error) {
	t := Traffic{Size: x.Size, Rate: x.Rate, Window: x.Window}
	m, err := load.Event(x.Size)
	if err := firstOf(t.possible(), possible("--conns", x.Conns...), err); err != nil {
		return nil, err
	}
	for _, conns := range x.Conns {
		for _, percent := range x.Hang {
			if x.Rate <= 0 || percent < 0 || percent >= 100 {
				return nil, errors.New("stuck needs a rate above 0, and a share of hanging callbacks from 0 to below 100 %")
			}
			one := stuck{conns: conns, rate: x.Rate * percent / 100, hang: x.HangFor, load: t, message: m}
			one.load.Rate = x.Rate - one.rate
			one.others = int(one.rate*x.HangFor.Seconds()*1.5) + 1
			name := t.describe(conns) + ", no callback hangs"
			if percent > 0 {
				name = fmt.Sprintf("%s, %s %% of callbacks hang %v", t.describe(conns), strconv.FormatFloat(percent, 'g', -1, 64), x.HangFor)
			}
			cases = append(cases, Case{Scenario: "stuck", Name: name, Gateway: true, round: one.round})
		}
	}
	return cases, nil
}

type stuck struct {
	conns   int     // those that are measured
	others  int     // those whose callbacks hang
	rate    float64 // of these, a second
	hang    time.Duration
	load    Traffic // of those that are measured
	message *load.Message
}

// hungUser begins the names of users whose callbacks hang.
const hungUser = "hung-"

func (x stuck) round(s *stage) {
	gateway, app := s.around([]string{"--mute", hungUser, "--hang", x.hang.String()}, patient)
	c := s.users(gateway, x.conns)
	if x.rate > 0 {
		hung := s.connect(load.Config{Target: gateway.Addr(), Header: named(hungUser, 0)}, x.others)
		flow := hung.Start(load.Traffic{Message: x.message, Rate: x.rate, OneWay: true})
		s.cleanup(func() { flow.End() })
		s.pause(x.hang) // until as many hang as ever will
	}
	r, used := s.traffic(c, x.load, x.message, gateway, app.Process)
	all := must(scrape(gateway.Addr()))
	if seen := must(app.Stats()); seen.Failed > 0 {
		check(fmt.Errorf("the app reports %d failures: %s", seen.Failed, seen.Failure))
	}
	s.addTraffic(r)
	s.add("round trips", "1/s", r.Rate())
	s.add("callbacks in flight at the end", "", all["callbacks_in_flight"])
	s.add("gateway CPU, a million", "s", used[0].perMillion(r.Messages))
}
