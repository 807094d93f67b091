package systemd

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

// LeastWatchdog is the shortest WatchdogSec= that makes sense: idle loops turn once a
// second, and Notifier looks at them twice in that time.
const LeastWatchdog = 4 * time.Second

// Notifier tells systemd the gateway's state (sd_notify), and pings its watchdog as
// long as every event loop turns. Without systemd it does nothing.
type Notifier struct {
	// Static after construction.
	log      zerolog.Logger
	tell     func(state string) error
	watchdog time.Duration // WatchdogSec=; 0: none

	isReady  atomic.Bool
	stopping atomic.Bool
}

// NewNotifier returns a notifier for the service manager that the environment names.
func NewNotifier(log zerolog.Logger) *Notifier {
	s := &Notifier{log: log, tell: func(string) error { return nil }}
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
	if s.watchdog > 0 && s.watchdog < LeastWatchdog {
		log.Warn().Stringer("watchdog", s.watchdog).Msgf("systemd: the watchdog may end a gateway that is well; set WatchdogSec to %v or more", LeastWatchdog)
	}
	return s
}

func (s *Notifier) say(state string) {
	if err := s.tell(state); err != nil {
		s.log.Warn().Err(err).Msg("systemd: notification not sent")
	}
}

// Recovering asks for at most this much time: clients are not accepted yet.
func (s *Notifier) Recovering(most time.Duration) {
	s.say(fmt.Sprintf("STATUS=sending the close events of the last run\nEXTEND_TIMEOUT_USEC=%d", (most + 10*time.Second).Microseconds()))
}

// Ready says that clients are accepted.
func (s *Notifier) Ready(status string) {
	s.isReady.Store(true)
	s.say("READY=1\nSTATUS=" + status)
}

// Reloading says that the configuration is read again; Reloaded must follow, even if
// that fails. A gateway that is not ready says neither.
func (s *Notifier) Reloading() {
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

// Reloaded says that a reload is over.
func (s *Notifier) Reloaded(status string) {
	if s.isReady.Load() && !s.stopping.Load() {
		s.say("READY=1\nSTATUS=" + status)
	}
}

// Stopping says that the shutdown has begun, and how long it may take. From now on the
// watchdog is pinged in any case, as the loops end before the rest does.
func (s *Notifier) Stopping(most time.Duration) {
	s.stopping.Store(true)
	s.say(fmt.Sprintf("STOPPING=1\nSTATUS=closing connections\nEXTEND_TIMEOUT_USEC=%d", (most + 5*time.Second).Microseconds()))
}

// KeepWatchdog pings the watchdog until ctx ends, as long as the counts that turns
// returns, one for each loop, go up. status is the line that systemctl status shows.
func (s *Notifier) KeepWatchdog(ctx context.Context, turns func() []uint64, status func() string) {
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
func (s *Notifier) look(p *pulse, status func() string) {
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

// pulse tells which loops are stuck, by how often they have turned.
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
