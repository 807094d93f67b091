package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"ws-gateway/badlink"
	"ws-gateway/bench/chaos"
	"ws-gateway/bench/child"
)

// ChaosCluster has the network between three gateways of an app and their NATS server
// fail in every way while clients come and go, and audits every byte that these are sent.
//
//	chaos.Sender (this process) ──▶ child: gateway ──badlink.Link──▶ child: NATS server
//	chaos.Crowd  (this process) ──▶        │
//	chaos.App    (this process) ◀──────────┘   three of each
type ChaosCluster struct {
	Only     []string      `placeholder:"NAME" sep:";" help:"Variants to hold, such as 'links' or 'server'; several are separated by semicolons. Default: all."`
	Duration time.Duration `default:"3m" placeholder:"DUR" help:"Time in which clients come and go and all fails, of all variants together. Each takes some seconds more until all is quiet."`
	Conns    int           `default:"300" placeholder:"N" help:"Clients at a time, of all three gateways together; each that leaves is followed by another."`
	Pause    time.Duration `default:"30ms" placeholder:"DUR" help:"How long each of the six senders waits between two calls, at the most."`
	Stay     time.Duration `default:"4s" placeholder:"DUR" help:"How long a client stays, at the most."`
	Seed     uint64        `default:"0" placeholder:"N" help:"Seed of what the links, the server, the clients and the senders do. 0: a random one, which the table names."`
}

// clusterVariant is what fails.
type clusterVariant struct {
	name   string
	links  bool          // between gateways and server
	server bool          // it is restarted, and stopped
	kills  bool          // of gateways, each of which is followed by another
	hold   time.Duration // longer than any fault: then nothing may get lost
	dead   time.Duration // after which silence is death
}

func clusterVariants() []clusterVariant {
	const long, never = 30 * time.Second, 10 * time.Minute
	return []clusterVariant{
		{name: "links", links: true, hold: long, dead: never},
		{name: "server", server: true, hold: long, dead: never},
		{name: "links and server", links: true, server: true, hold: long, dead: never},
		{name: "longer than the hold", links: true, server: true, hold: time.Second, dead: never},
		{name: "kills", kills: true, hold: 8 * time.Second, dead: 10 * time.Second},
	}
}

// together is how many gateways there are, and sendersEach how many callers each has.
const (
	together    = 3
	sendersEach = 2
)

// Cases are one for each variant. An error means that one could not be held, not that a
// gateway did wrong: that is in Round.Broken.
func (c ChaosCluster) Cases(Options) (cases []Case, err error) {
	held, err := chosen("variant", clusterVariants(), c.Only, func(v clusterVariant) string { return v.name }, "; ")
	if err != nil {
		return nil, err
	}
	each := c.Duration / time.Duration(len(held))
	if each < time.Second {
		return nil, fmt.Errorf("--duration leaves %v for each of %d variants; they need a second at least", each, len(held))
	}
	if c.Conns < together || c.Conns > MostConnections/2 {
		return nil, fmt.Errorf("--conns must be %d to %d", together, MostConnections/2)
	}
	if c.Pause < time.Microsecond || c.Stay < time.Microsecond {
		return nil, errors.New("--pause and --stay must be more than nothing")
	}
	for i, v := range held {
		cases = append(cases, Case{Scenario: "chaos-cluster", Name: v.name, Gateway: true, round: func(s *stage) {
			cfg := c
			cfg.Seed += uint64(i)
			(&clusterRun{stage: s, clusterVariant: v, cfg: cfg}).hold(each)
			s.note("seed %d", cfg.Seed)
		}})
	}
	return cases, nil
}

// clusterRun is a variant while it goes on.
type clusterRun struct {
	*stage
	clusterVariant
	cfg     ChaosCluster
	dir     string // of what the race detector says
	server  *natsServer
	links   [together]*badlink.Link
	lives   []*life
	senders []*chaos.Sender
	present chaos.Present
	names   sharedNames
	settled context.Context // once it is done nobody comes or goes any more

	mu   sync.Mutex
	seat [together]*life       // guarded by mu: the gateways that run
	did  map[badlink.Fault]int // guarded by mu
}

// hold goes through one variant and looks at what it has left.
func (u *clusterRun) hold(each time.Duration) {
	u.dir = must(os.MkdirTemp("", "ws-bench-chaos-cluster-"))
	u.cleanup(func() { os.RemoveAll(u.dir) })
	u.build()
	u.whole()
	settled, settle := context.WithCancel(u.ctx)
	u.settled = settled
	u.cleanup(func() {
		settle()
		for _, l := range u.lives {
			l.end()
		}
	})
	for _, l := range u.seat {
		u.live(l)
	}
	u.rage(each)
	settle()
	quiet := u.equal()
	for _, l := range u.seat {
		for _, s := range l.senders {
			s.Finish()
		}
	}
	u.show("until all clients have gone")
	for _, l := range u.seat {
		l.end()
	}
	u.show("until all is quiet")
	for _, l := range u.seat {
		l.counts = u.rest(l.gateway)
	}
	for _, l := range u.seat {
		l.gateway.Stop(restTimeout)
		l.record, l.odd = l.app.Stop()
	}
	u.judge(quiet)
}

// build starts everything.
func (u *clusterRun) build() {
	u.did = map[badlink.Fault]int{}
	u.server = &natsServer{stage: u.stage}
	u.server.begin()
	for i := range together {
		u.links[i] = must(badlink.New(u.server.addr()))
		u.cleanup(u.links[i].Close)
	}
	u.server.links = u.links[:]
	for i := range together {
		must(u.begin(i))
	}
}

// whole waits until each gateway hears the others, and none that is gone.
func (u *clusterRun) whole() {
	u.show("until the gateways know each other")
	for _, l := range u.seat {
		seen := until(u.stage, restTimeout, sampling, func() metrics { return scraped(l.gateway) }, hearsAll, l.gateway)
		if !hearsAll(seen) {
			check(fmt.Errorf("%s knows %v of %d others, of which %v are silent",
				l.name, seen["cluster_instances"], together-1, seen["cluster_instances_silent"]))
		}
	}
}

func hearsAll(m metrics) bool {
	return m["cluster_whole"] == 1 && m["cluster_instances"] == together-1 && m["cluster_instances_silent"] == 0
}

// close closes a user's connection, which is at a gateway, through some gateway. If that
// could not reach all others, it is closed where it is.
func (u *clusterRun) close(at *life, user string, code int) error {
	h := fnv.New32a()
	h.Write([]byte(user))
	u.mu.Lock()
	through := u.seat[int(h.Sum32()%together)]
	u.mu.Unlock()
	body, err := json.Marshal(map[string]any{"users": []string{user}, "code": code, "reason": "enough"})
	if err != nil {
		return err
	}
	var answer struct {
		Code    int
		Missing []string
	}
	text, err := callAPI(through.gateway.Addr(), "POST", closePath, body)
	if err == nil {
		err = json.Unmarshal(text, &answer)
	}
	switch {
	case err != nil && !u.gone(through):
		return err
	case err == nil && answer.Code == 0:
		return nil
	case err == nil && len(answer.Missing) == 0:
		return fmt.Errorf("%s answered %.200q", closePath, text)
	}
	body, err = json.Marshal(map[string]any{"users": []string{user}, "code": code, "reason": "enough", "scope": "local"})
	if err != nil {
		return err
	}
	return order(at.gateway.Addr(), closePath, body)
}

// gone reports whether a gateway was killed.
func (u *clusterRun) gone(l *life) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return l.killed
}

const closePath = "/tapr/ws/conn/close"

// rage has everything fail for some time, while senders send, and leaves all well.
func (u *clusterRun) rage(each time.Duration) {
	u.show("while links, server or gateways fail")
	ctx, calm := context.WithTimeout(u.ctx, each)
	defer calm()
	var all sync.WaitGroup
	random := func(n uint64) *rand.Rand { return rand.New(rand.NewPCG(u.cfg.Seed, 1000+n)) }
	if u.clusterVariant.links {
		for i, l := range u.links {
			all.Go(func() {
				did := l.Misbehave(ctx, clusterTemper, random(uint64(i)))
				u.mu.Lock()
				defer u.mu.Unlock()
				for f, n := range did {
					u.did[f] += n
				}
			})
		}
	}
	var failed error
	if u.clusterVariant.server {
		all.Go(func() { failed = u.server.misbehave(ctx, clusterTemper, random(98)) })
	}
	if u.kills {
		u.killAll(ctx, random(99))
	}
	pause(ctx, each, nil)
	all.Wait()
	check(failed)
	for _, l := range u.seat {
		l.stopSending()
		l.sent.Wait()
		check(l.gateway.Alive())
	}
	check(u.ctx.Err())
}

// killAll kills one gateway after the other until ctx is done, and starts another for each.
func (u *clusterRun) killAll(ctx context.Context, random *rand.Rand) {
	for {
		pause(ctx, between(random, clusterTemper.Well, 3*clusterTemper.Well), nil)
		if ctx.Err() != nil {
			return
		}
		l := u.seat[random.IntN(together)]
		u.mu.Lock()
		l.killed = true
		u.mu.Unlock()
		l.counts = scraped(l.gateway)
		l.gateway.Kill()
		l.end()
		l.record, l.odd = l.app.Stop()
		u.live(must(u.begin(l.seat)))
	}
}

// clusterTemper has faults that --cluster-hold bridges, and some that it does not.
var clusterTemper = badlink.Temper{Well: 3 * time.Second, Fault: 1200 * time.Millisecond, Longest: 5 * time.Second}

// equal waits until every gateway knows of the others what they have, and returns how long
// that took once nobody came or went.
func (u *clusterRun) equal() (took time.Duration) {
	u.show("until all gateways know the same")
	u.whole()
	began := time.Now()
	var differ string
	until(u.stage, restTimeout, sampling, func() string { differ = u.differ(); return differ }, func(d string) bool { return d == "" })
	if differ != "" {
		u.broken.say("%v after nobody came or went any more, %s", restTimeout, differ)
	}
	return time.Since(began)
}

// differ says where a gateway knows something else than what there is; "" for nowhere.
func (u *clusterRun) differ() string {
	var counts [together]metrics
	told := 0.0
	for i, l := range u.seat {
		counts[i] = scraped(l.gateway)
		told += counts[i]["cluster_told_names"]
	}
	for i, l := range u.seat {
		c := counts[i]
		if others := told - c["cluster_told_names"]; c["cluster_known_names"] != others || c["cluster_known_instances"] != together-1 {
			return fmt.Sprintf("%s knows %v names of %v others, which have told %v", l.name, c["cluster_known_names"], c["cluster_known_instances"], others)
		}
		var all struct {
			Code    int
			Missing []string
			Data    struct{ Connections, Users int }
		}
		text, err := callAPI(l.gateway.Addr(), "GET", "/tapr/ws/conn/count", nil)
		check(err)
		check(json.Unmarshal(text, &all))
		if all.Code != 0 || all.Missing != nil || all.Data.Connections != u.present.Len() || all.Data.Users != u.present.Users() {
			return fmt.Sprintf("%s counts %s, and there are %d connections of %d users", l.name, text, u.present.Len(), u.present.Users())
		}
	}
	return ""
}

// rest waits until a gateway has nothing left to do.
func (u *clusterRun) rest(gateway *child.Process) metrics {
	busy := func(m metrics) float64 { return m["connections"] + m["callback_lanes"] + m["callbacks_in_flight"] }
	counts := until(u.stage, restTimeout, sampling, func() metrics { return scraped(gateway) }, func(now metrics) bool { return busy(now) == 0 }, gateway)
	if busy(counts) > 0 {
		u.broken.say("a gateway still has %v connections, %v lanes and %v callbacks in flight long after the last client left",
			counts["connections"], counts["callback_lanes"], counts["callbacks_in_flight"])
	}
	return counts
}
