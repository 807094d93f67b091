package main

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

// leastWatchdog is the shortest WatchdogSec= that makes sense: loops turn once a
// second when nothing happens, and are looked at twice in the time.
const leastWatchdog = 4 * time.Second

// supervisor tells systemd how the gateway is (sd_notify), and keeps its watchdog
// quiet for as long as every loop turns. Without systemd it does nothing.
type supervisor struct {
	// Static after construction.
	log      zerolog.Logger
	tell     func(state string) error
	watchdog time.Duration // WatchdogSec=; 0: none

	isReady  atomic.Bool
	stopping atomic.Bool
}

func newSupervisor(log zerolog.Logger) *supervisor {
	s := &supervisor{log: log, tell: func(string) error { return nil }}
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return s
	}
	s.tell = func(state string) error {
		_, err := daemon.SdNotify(false, state)
		return err
	}
	var err error
	if s.watchdog, err = daemon.SdWatchdogEnabled(false); err != nil {
		log.Warn().Err(err).Msg("systemd: the watchdog is not kept quiet")
	}
	if s.watchdog > 0 && s.watchdog < leastWatchdog {
		log.Warn().Stringer("watchdog", s.watchdog).Msgf("systemd: the watchdog may end a gateway that is well; set WatchdogSec to %v or more", leastWatchdog)
	}
	return s
}

func (s *supervisor) say(state string) {
	if err := s.tell(state); err != nil {
		s.log.Warn().Err(err).Msg("systemd: notification not sent")
	}
}

// recovering asks for time: clients are not taken yet.
func (s *supervisor) recovering(most time.Duration) {
	s.say(fmt.Sprintf("STATUS=sending the close events of the last run\nEXTEND_TIMEOUT_USEC=%d", (most + 10*time.Second).Microseconds()))
}

func (s *supervisor) ready(status string) {
	s.isReady.Store(true)
	s.say("READY=1\nSTATUS=" + status)
}

// reloading says that the configuration is read anew, which reloaded ends, whatever
// has come of it. A gateway that is not ready yet has said nothing that this would
// change.
func (s *supervisor) reloading() {
	if !s.isReady.Load() || s.stopping.Load() {
		return
	}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		s.log.Warn().Err(err).Msg("systemd: notification not sent")
		return
	}
	s.say(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d\nSTATUS=reloading the configuration", now.Nano()/1000))
}

func (s *supervisor) reloaded(status string) {
	if s.isReady.Load() && !s.stopping.Load() {
		s.say("READY=1\nSTATUS=" + status)
	}
}

// stop says that the end has begun, and how long it may take. The watchdog is
// kept quiet from now on, as the loops end before everything else has.
func (s *supervisor) stop(most time.Duration) {
	s.stopping.Store(true)
	s.say(fmt.Sprintf("STOPPING=1\nSTATUS=closing connections\nEXTEND_TIMEOUT_USEC=%d", (most + 5*time.Second).Microseconds()))
}

// watch keeps the watchdog quiet until ctx ends.
func (s *supervisor) watch(ctx context.Context, turns func() []uint64, status func() string) {
	if s.watchdog == 0 {
		return
	}
	every := time.NewTicker(s.watchdog / 2)
	defer every.Stop()
	p := pulse{turns: turns}
	for {
		select {
		case <-every.C:
			s.look(&p, status)
		case <-ctx.Done():
			return
		}
	}
}

// look pings the watchdog if every loop has turned since the last look.
func (s *supervisor) look(p *pulse, status func() string) {
	stuck := p.stuck()
	switch {
	case s.stopping.Load():
		s.say("WATCHDOG=1")
	case len(stuck) == 0:
		s.say("WATCHDOG=1\nSTATUS=" + status())
	default:
		s.log.Error().Ints("loops", stuck).Stringer("since", s.watchdog/2).Msg("systemd: event loops do not turn, so that the watchdog is not pinged")
	}
}

// pulse tells whether loops are alive by how often they have turned.
type pulse struct {
	turns func() []uint64
	last  []uint64
}

// stuck returns the loops that have not turned since the last call; none the
// first time.
func (p *pulse) stuck() (loops []int) {
	now := p.turns()
	for i := range p.last {
		if now[i] == p.last[i] {
			loops = append(loops, i)
		}
	}
	p.last = now
	return loops
}
