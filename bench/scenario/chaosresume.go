package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"ws-gateway/badlink"
	"ws-gateway/bench/chaos"
)

// Of the variant in which clients resume their sessions.
const (
	resumeFor    = 3 * time.Second
	resumeBuffer = 256 << 10
	roamingLinks = 6
	roamingSends = 30 * time.Millisecond // between two of a sender's, at the most
)

// roamingTemper has faults that --resume-for bridges, and some that it does not.
var roamingTemper = badlink.Temper{
	Well: 1500 * time.Millisecond, Fault: 400 * time.Millisecond, Longest: 5 * time.Second,
	Only: []badlink.Fault{badlink.Cut, badlink.Finish, badlink.Refuse, badlink.Stall, badlink.Deaf, badlink.Mute},
}

// roaming is what there is beside if clients resume their sessions.
type roaming struct {
	senders []*chaos.Sender
	links   map[badlink.Fault]int // what they did
}

// roam is chaos.Crowd with clients whose connections are cut and who are sent messages,
// until raging is done. Then all is well, and everybody gets a last message.
func (u *chaosRun) roam(raging context.Context, cfg chaos.CrowdConfig) []chaos.Client {
	links := make([]*badlink.Link, roamingLinks)
	cfg.Present, cfg.Settle, cfg.ResumeFor = new(chaos.Present), raging.Done(), resumeFor
	for i := range links {
		links[i] = must(badlink.New(u.server.Addr()))
		u.cleanup(links[i].Close)
		cfg.Links = append(cfg.Links, links[i].Addr())
	}
	var misbehaving, sending, crowd sync.WaitGroup
	done := make([]map[badlink.Fault]int, roamingLinks)
	for i, l := range links {
		misbehaving.Go(func() {
			done[i] = l.Misbehave(raging, roamingTemper, rand.New(rand.NewPCG(u.cfg.Seed, 2000+uint64(i))))
		})
	}
	for i := range sendersEach {
		s := &chaos.Sender{
			ID: i, Instance: "the gateway", API: u.server.Addr(), Seed: u.cfg.Seed, Pause: roamingSends, Present: cfg.Present,
		}
		u.senders = append(u.senders, s)
		sending.Go(func() { s.Run(raging) })
	}
	staying, leave := context.WithCancel(u.ctx)
	defer leave()
	var clients []chaos.Client
	crowd.Go(func() { clients = chaos.Crowd(staying, cfg) })
	misbehaving.Wait()
	sending.Wait()
	for _, s := range u.senders {
		s.Finish()
	}
	leave()
	crowd.Wait()
	u.links = map[badlink.Fault]int{}
	for _, did := range done {
		for f, n := range did {
			u.links[f] += n
		}
	}
	return clients
}

// judgeSessions holds what became of sessions, and of what was sent to them, against what
// must be.
func (u *chaosRun) judgeSessions(clients []chaos.Client, counts metrics) {
	d := chaos.AuditSends(u.senders, []chaos.Instance{{Name: "the gateway", Clients: clients}}, 0)
	r := chaos.AuditSessions(clients, u.senders, chaos.Bounds{
		ResumeFor: resumeFor, ResumeBuffer: resumeBuffer,
		Resumed: int(counts["resumed_total"]), Overruns: int(counts["resume_overruns_total"]),
		Missed: int(counts.sum("resume_missed_total")), Forged: int(counts["resume_missed_total{token}"]),
	})
	u.broken = append(append(u.broken, d.Broken...), r.Broken...)
	for _, s := range u.senders {
		u.broken = append(u.broken, s.Odd...)
	}
	for _, one := range []struct {
		name  string
		value int
	}{
		{"sessions that went on", r.Resumed}, {"sessions that had expired", r.Expired}, {"sessions that were sent too much", r.Overrun},
		{"sessions that were over as they were closed", r.Ended}, {"handshakes without an answer", r.Unheard},
		{"sends", d.Sends}, {"messages received", d.Received}, {"messages received twice", d.Twice}, {"messages received too early", d.Early},
	} {
		u.add(one.name, "", float64(one.value))
	}
	var what []string
	for _, f := range badlink.Faults() {
		if n := u.links[f]; n > 0 {
			what = append(what, fmt.Sprintf("%d %s", n, f))
		}
	}
	u.note("%d sessions went on %d times, %d expired, %d were sent too much, %d had been closed; links: %s; %d of %d sends' messages received, %d sent again",
		r.Sessions, r.Resumed, r.Expired, r.Overrun, r.Ended, strings.Join(what, ", "), d.Received, d.Sends, int(counts["resume_repeated_messages_total"]))
}
