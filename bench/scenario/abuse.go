package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"ws-gateway/bench/abuse"
	"ws-gateway/bench/child"
	"ws-gateway/bench/load"
	"ws-gateway/bench/proc"
	"ws-gateway/bench/report"
	"ws-gateway/bench/sink"
)

// AbuseConfig says how large abuse is.
type AbuseConfig struct {
	Good      int     // clients that behave
	Rate      float64 // their messages a second, in the open loop
	Size      int     // bytes of a message
	Intensity float64 // factor on the attackers' rates
	Only      []string
	Quick     bool // a tenth of the attackers, phases of a second or two
}

// Abuse has good clients keep a steady rate of messages, round trip through
// callback and send API, while phase after phase of abuse goes by.
//
//	good clients (this process) ──▶ child: gateway ⇄ child: sink, which audits events
//	attackers (a child each)    ──▶
type Abuse struct {
	cfg    AbuseConfig
	limits deadlines
	phases []phase
	back   time.Duration // for memory and descriptors to return after the abuse
}

// NewAbuse plans abuse.
func NewAbuse(cfg AbuseConfig) (*Abuse, error) {
	if cfg.Good < 1 || cfg.Good > MostConnections/2 || cfg.Rate <= 0 || cfg.Intensity <= 0 {
		return nil, fmt.Errorf("abuse needs 1 to %d good clients, a rate and an intensity above 0", MostConnections/2)
	}
	s := &Abuse{
		cfg: cfg, back: 30 * time.Second,
		limits: deadlines{handshake: 3 * time.Second, ping: 5 * time.Second, write: 4 * time.Second, close: 2 * time.Second},
	}
	each, scale := 8*time.Second, 1.0
	if cfg.Quick {
		each, scale, s.back = 1500*time.Millisecond, 0.1, 10*time.Second
		s.limits = deadlines{handshake: time.Second, ping: 2 * time.Second, write: time.Second, close: 500 * time.Millisecond}
	}
	if pause := time.Duration(float64(cfg.Good) / cfg.Rate * float64(time.Second)); pause > s.limits.ping/2 {
		return nil, fmt.Errorf("good clients that send only every %v would run into the ping timeout of %v", pause, s.limits.ping)
	}
	var err error
	s.phases, err = choose(phases(s.limits, each, scale, cfg.Intensity), cfg.Only)
	return s, err
}

// goodGroup is the group of the good clients' users in the sink's audit.
const goodGroup = "user"

// settling is how long a phase may take, after its attackers are gone, until the
// gateway is rid of their connections and the app knows.
const settling = 20 * time.Second

// weather is what abuse has under way.
type weather struct {
	*Env
	*Abuse
	gateway, app *child.Process
	control      sink.Control
	traffic      *load.Exchange
	began        sight  // of the phase
	level        *sight // before the first attack
}

// sight is what is seen at one time.
type sight struct {
	at           time.Time
	metrics      metrics
	app          sink.Stats
	memory       proc.Memory
	descriptors  int
	cpu, sinkCPU time.Duration
	own          time.Duration
	machine      proc.Usage
}

// Run lets the abuse pass and gives each phase's row to record, and at the end
// one for what is left behind. An error means that it could not be held, not
// that the gateway did wrong: that is in Round.Broken.
func (s *Abuse) Run(ctx context.Context, env *Env, record func(report.Round) error) (err error) {
	w := &weather{Env: env, Abuse: s}
	env.Progress.Say("starting")
	w.gateway, w.app, w.control, err = env.Servers.startAround(ctx, []string{"--audit", "--mute", abuse.Mute}, s.limits.args())
	if err != nil {
		return err
	}
	defer w.app.Stop(stopGrace)
	defer w.gateway.Stop(stopGrace)
	m, err := load.Event(s.cfg.Size)
	if err != nil {
		return err
	}
	c, err := stage{env, "abuse", func(what string) { env.Progress.Say("%s", what) }}.connect(ctx, load.Config{Target: w.gateway.Addr(), Header: identity(0)}, s.cfg.Good)
	if err != nil {
		return err
	}
	defer c.Close()
	w.traffic = c.Start(load.Traffic{Message: m, Rate: s.cfg.Rate})
	ended := false
	end := func() load.Result { ended = true; return w.traffic.End() }
	defer func() {
		if !ended {
			end()
		}
	}()
	if err := pause(ctx, time.Second, w.servers()); err != nil { // warming up
		return err
	}
	w.traffic.Begin()
	if w.began, err = w.look(); err != nil {
		return err
	}
	for i, p := range s.phases {
		env.Progress.Say("phase %d of %d: %s", i+1, len(s.phases), p.name)
		round, err := w.pass(ctx, p, i)
		if err != nil {
			return fmt.Errorf("phase %s: %w", p.name, err)
		}
		if err := record(round); err != nil {
			return fmt.Errorf("recording a phase: %w", err)
		}
	}
	env.Progress.Say("after the abuse")
	round, err := w.after(ctx, c, end)
	if err != nil {
		return fmt.Errorf("after the abuse: %w", err)
	}
	return record(round)
}

func (w *weather) servers() []*child.Process { return []*child.Process{w.gateway, w.app} }

func (w *weather) look() (s sight, err error) {
	s.at = time.Now()
	if s.metrics, err = scrape(w.gateway.Addr()); err != nil {
		return s, errors.Join(err, w.gateway.Alive())
	}
	if s.app, err = w.control.Stats(); err != nil {
		return s, err
	}
	if s.memory, err = proc.MemoryOf(w.gateway.PID()); err != nil {
		return s, err
	}
	if s.descriptors, err = proc.Descriptors(w.gateway.PID()); err != nil {
		return s, err
	}
	if s.cpu, err = proc.CPU(w.gateway.PID()); err != nil {
		return s, err
	}
	if s.sinkCPU, err = proc.CPU(w.app.PID()); err != nil {
		return s, err
	}
	if s.own, err = proc.CPU(os.Getpid()); err != nil {
		return s, err
	}
	s.machine, err = proc.MachineUsage()
	return s, err
}

// passage is all that is known of a phase when it is over.
type passage struct {
	phase     phase
	good      int
	before    sight         // when the attackers came
	during    sight         // before they were stopped
	after     sight         // when the gateway was rid of them
	unrid     string        // what it was not rid of in time; "" is nothing
	highest   uint64        // resident memory, of samples, in bytes
	slowest   time.Duration // send API call for a stalled reader
	attackers []abuse.Counts
	cpu       time.Duration // of the attackers
	failed    []error       // of attackers and pushes
	traffic   load.Result
	load      float64 // average at the start
}

// pass lets one phase pass.
func (w *weather) pass(ctx context.Context, p phase, seed int) (report.Round, error) {
	over := passage{phase: p, good: w.cfg.Good, before: w.began, load: proc.LoadAverage()}
	if w.level == nil && len(p.attacks) > 0 {
		w.level = &over.before
	}
	if err := w.attack(ctx, &over, seed); err != nil {
		return report.Round{}, err
	}
	var err error
	if over.after, over.unrid, err = w.settle(ctx); err != nil {
		return report.Round{}, err
	}
	over.traffic = w.traffic.Lap()
	w.began = over.after
	return over.round(over.broken()), nil
}

// attack holds the attackers' part of a phase.
func (w *weather) attack(ctx context.Context, over *passage, seed int) (err error) {
	var all []*attacker
	defer func() {
		for _, a := range all {
			counts, stopped := a.stop()
			over.attackers, over.cpu = append(over.attackers, counts), over.cpu+a.cpu
			if stopped != nil {
				over.failed = append(over.failed, stopped)
			}
		}
	}()
	for _, a := range over.phase.attacks {
		one, err := w.Servers.startAttacker(ctx, w.gateway.Addr(), a, seed+1)
		if err != nil {
			return err
		}
		all = append(all, one)
	}
	if err := w.hold(ctx, over); err != nil {
		return err
	}
	over.during, err = w.look()
	return err
}

const (
	sampling  = 100 * time.Millisecond
	pushBytes = 256 << 10
)

// hold waits while the attack goes on.
func (w *weather) hold(ctx context.Context, over *passage) error {
	var push []byte
	if over.phase.push {
		push = fmt.Appendf(nil, `{"payload":%q,"users":[%q]}`, strings.Repeat("x", pushBytes), abuse.UserOf(over.phase.attacks[0].kind))
	}
	for until := time.Now().Add(over.phase.duration); time.Now().Before(until); {
		if err := pause(ctx, sampling, w.servers()); err != nil {
			return err
		}
		memory, err := proc.MemoryOf(w.gateway.PID())
		if err != nil {
			return err
		}
		over.highest = max(over.highest, memory.VmRSS)
		if push == nil {
			continue
		}
		began := time.Now()
		if err := send(w.gateway.Addr(), push); err != nil {
			over.failed = append(over.failed, err)
		}
		over.slowest = max(over.slowest, time.Since(began))
	}
	return nil
}

// send calls the send API.
func send(gateway netip.AddrPort, command []byte) error {
	return order(gateway, "/tapr/ws/conn/send", command)
}

// order gives the gateway a command, which it must accept.
func order(gateway netip.AddrPort, path string, command []byte) error {
	body, err := callAPI(gateway, "POST", path, command)
	if err != nil {
		return err
	}
	var answer struct {
		Code    int
		Message string
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Code != 0 {
		return fmt.Errorf("%s answered %.200q", path, body)
	}
	return nil
}

// settle waits until nothing is left of the attackers, no longer than settling.
func (w *weather) settle(ctx context.Context) (now sight, left string, err error) {
	now, err = w.until(ctx, settling, func(s sight) bool { return remains(s, w.cfg.Good) == "" })
	return now, remains(now, w.cfg.Good), err
}

// remains says what there is beside the good clients.
func remains(now sight, good int) string {
	var left []string
	say := func(n float64, what string) {
		if n != 0 {
			left = append(left, fmt.Sprintf("%s %s", report.Count(n), what))
		}
	}
	say(now.metrics["connections"]-float64(good), "connections too many")
	for _, state := range []string{"handshaking", "closing"} {
		say(now.metrics["sockets{"+state+"}"], "sockets "+state)
	}
	opens, closes := told(now.app)
	say(now.metrics["upgraded_total"]-float64(opens), "open events to come")
	say(now.metrics.sum("closed_total")-float64(closes), "close events to come")
	return strings.Join(left, ", ")
}

// told is of how many connections the app has heard that they opened and closed.
func told(s sink.Stats) (opens, closes uint64) {
	for _, g := range s.Groups {
		opens += g.Open
		closes += g.Close
	}
	return opens, closes
}

// forwarded is how many messages of attackers the app has got.
func forwarded(s sink.Stats) (n uint64) {
	for name, g := range s.Groups {
		if name != goodGroup {
			n += g.Message
		}
	}
	return n
}
