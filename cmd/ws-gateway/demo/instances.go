package demo

import (
	"errors"
	"net"
	"os"
	"sync/atomic"

	"github.com/rs/zerolog"

	"ws-gateway/cluster/bus"
	"ws-gateway/cluster/bus/localbus"
	"ws-gateway/cmd/ws-gateway/config"
	"ws-gateway/cmd/ws-gateway/gateway"
	"ws-gateway/cmd/ws-gateway/program"
)

// instances are gateways of this process that answer as one, each with an app beside it.
// What NATS is for real ones is an exchange in the process, from which each can be cut off.
// They share the process's bounds: descriptors and memory are not divided among them.
type instances struct {
	exchange *localbus.Exchange
	all      []*instance // static once all are made
}

type instance struct {
	name    string
	number  [8]byte // with which the ids of its connections begin
	bus     *localbus.Bus
	gateway *gateway.Gateway
	app     *app
	process *program.Process // with signals of its own
	out     atomic.Bool      // it is cut off
}

// runInstances is Run for several gateways.
func runInstances(p *program.Process, c *config.Config, log zerolog.Logger) error {
	s := &instances{exchange: localbus.NewExchange()}
	var listeners []net.Listener
	for n := range c.Instances {
		listener, err := s.add(p, c, n, log)
		if err != nil {
			for _, i := range s.all {
				i.gateway.Discard()
			}
			closeAll(listeners)
			return err
		}
		listeners = append(listeners, listener)
	}
	for n, i := range s.all {
		i.app.serve(listeners[n])
	}
	errs := []error{s.serve(p, log)}
	for _, i := range s.all {
		errs = append(errs, i.app.end())
	}
	return errors.Join(errs...)
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		l.Close()
	}
}

// add makes gateway number n and its app. After an error nothing of them is left.
func (s *instances) add(p *program.Process, c *config.Config, n int, log zerolog.Logger) (net.Listener, error) {
	one, addr := c.Instance(n)
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, gateway.ListenError("app-listen", addr, err)
	}
	one.Callback = "http://" + listener.Addr().String() + callbackPath
	log = log.With().Str("gateway", one.ClusterName).Logger()
	i := &instance{name: one.ClusterName}
	i.process = p.Beside()
	i.gateway, err = gateway.NewIn(i.process, one, log, func(number [8]byte) (bus.Bus, error) {
		i.number, i.bus = number, s.exchange.Join(number)
		return i.bus, nil
	})
	if err == nil {
		if i.app, err = newApp(placeOf(one, i.gateway), log); err != nil {
			i.gateway.Discard()
		}
	}
	if err != nil {
		listener.Close()
		return nil, err
	}
	i.app.self, i.app.instances = i, s
	s.all = append(s.all, i)
	return listener, nil
}

// serve runs the gateways until they are stopped. If one ends, all do.
func (s *instances) serve(p *program.Process, log zerolog.Logger) error {
	ended := make(chan error, len(s.all))
	var starting atomic.Int32
	starting.Store(int32(len(s.all)))
	for _, i := range s.all {
		go func() {
			ended <- i.gateway.Serve(func() {
				log.Info().Str("gateway", i.name).Stringer("app", i.app.addr).Msg("demo")
				if starting.Add(-1) == 0 {
					greet(p.Stdout, s.welcome())
				}
			})
		}()
	}
	var errs []error
	for stopping := false; len(errs) < len(s.all); {
		select {
		case signal := <-p.Signals:
			stopping = true
			s.pass(signal)
		case signal := <-p.HangUps:
			for _, i := range s.all {
				i.process.HangUp(signal)
			}
		case err := <-ended:
			errs = append(errs, err)
			if !stopping {
				stopping = true
				s.pass(os.Interrupt)
			}
		}
	}
	return errors.Join(errs...)
}

// pass passes on a signal that asks to stop.
func (s *instances) pass(signal os.Signal) {
	for _, i := range s.all {
		i.process.Stop(signal)
	}
}

// find returns the instance that has a name, nil if none has.
func (s *instances) find(name string) *instance {
	for _, i := range s.all {
		if i.name == name {
			return i
		}
	}
	return nil
}

// cut cuts an instance off from the others, or joins it to them again.
func (i *instance) cut(out bool) {
	i.out.Store(out)
	i.bus.SetUp(!out)
}
