package scenario

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"

	"ws-gateway/bench/chaos"
	"ws-gateway/bench/child"
)

// life is one gateway from its start to its end, with what is around it.
type life struct {
	name    string
	seat    int
	app     *chaos.App
	gateway *child.Process
	senders []*chaos.Sender
	sending
	staying
	clients []chaos.Client
	killed  bool // guarded by clusterRun.mu

	counts metrics // once all is quiet
	record chaos.Record
	odd    []string
}

// sending and staying are what goes on at a gateway, and how it is ended.
type (
	sending struct {
		stopSending context.CancelFunc
		sent        sync.WaitGroup
	}
	staying struct {
		leave context.CancelFunc
		crowd sync.WaitGroup
	}
)

// begin starts a gateway, which begins to be used when live is called.
func (u *clusterRun) begin(seat int) (l *life, err error) {
	l = &life{name: fmt.Sprintf("gateway-%d-%d", seat+1, len(u.lives)), seat: seat}
	if l.app, err = chaos.NewApp(chaos.AppConfig{Seed: u.cfg.Seed, Timeout: restTimeout, RetryFor: restTimeout}); err != nil {
		return nil, err
	}
	u.lives = append(u.lives, l)
	u.cleanup(func() {
		if l.record.Posts == nil {
			l.app.Stop()
		}
	})
	ctx, cancel := context.WithTimeout(u.ctx, restTimeout)
	defer cancel()
	l.gateway, err = child.Start(ctx, child.Spec{
		Name: l.name, Path: u.Gateway, Args: u.gatewayArgs(l.app.URL(), u.flags(l)), Ready: readyLine,
		Env: []string{"GORACE=log_path=" + filepath.Join(u.dir, "race") + " atexit_sleep_ms=0"},
	})
	if err != nil {
		return nil, err
	}
	u.cleanup(func() { l.gateway.Stop(stopGrace) })
	for range sendersEach {
		s := &chaos.Sender{
			ID: len(u.senders), Instance: l.name, API: l.gateway.Addr(), Seed: u.cfg.Seed, Pause: u.cfg.Pause, Present: &u.present,
		}
		l.senders, u.senders = append(l.senders, s), append(u.senders, s)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.seat[seat] = l
	return l, nil
}

// live lets clients come to a gateway, and senders send.
func (u *clusterRun) live(l *life) {
	var sending, staying context.Context
	sending, l.stopSending = context.WithCancel(u.ctx)
	staying, l.leave = context.WithCancel(u.ctx)
	for _, s := range l.senders {
		l.sent.Go(func() { s.Run(sending) })
	}
	l.crowd.Go(func() {
		l.clients = chaos.Crowd(staying, chaos.CrowdConfig{
			Gateway: l.gateway.Addr(), Seats: u.cfg.Conns / together, Seed: u.cfg.Seed + uint64(len(u.lives)),
			Close:   func(user string, code int) error { return u.close(l, user, code) },
			Present: &u.present, Stay: u.cfg.Stay, Settle: u.settled.Done(),
			Name: func(seat, n int) (user string, shared bool) { return u.names.of(l, seat, n) },
		})
	})
}

// end ends what live has begun, and waits for it.
func (l *life) end() {
	if l.leave == nil {
		return
	}
	l.stopSending()
	l.leave()
	l.sent.Wait()
	l.crowd.Wait()
}

// flags are such that only --cluster-hold gives anything up, unless gateways are killed:
// an instance that is gone is another matter.
func (u *clusterRun) flags(l *life) []string {
	return append([]string{
		"--callback-timeout", restTimeout.String(), "--callback-retry-for", (2 * restTimeout).String(), "--callback-concurrency", "16",
		"--cluster", "nats://" + u.links[l.seat].Addr(), "--cluster-app", "chaos", "--cluster-name", l.name,
		"--cluster-hold", u.clusterVariant.hold.String(), "--cluster-dead-after", u.dead.String(), "--cluster-buffer", "256MiB",
	}, patient...)
}

// sharedNames are users' names. On every third seat the clients of all gateways have the
// same one, if they are there at the same time.
type sharedNames struct {
	mu   sync.Mutex
	last map[int]*sharedName // by seat; guarded by mu
}

type sharedName struct {
	number int
	taken  [together]bool
}

func (s *sharedNames) of(at *life, seat, n int) (user string, shared bool) {
	if seat%3 != 0 {
		return fmt.Sprintf("at-%s-seat%d-%d", at.name, seat, n), false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		s.last = map[int]*sharedName{}
	}
	one := s.last[seat]
	if one == nil {
		one = &sharedName{}
		s.last[seat] = one
	}
	if one.taken[at.seat] {
		*one = sharedName{number: one.number + 1}
	}
	one.taken[at.seat] = true
	return fmt.Sprintf("shared-seat%d-%d", seat, one.number), true
}
