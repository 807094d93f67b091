package scenario

import (
	"regexp"
	"sync"
)

// goals are upper limits that figures should keep, by what a case's name and a
// figure's match. The first that fits counts. Missing one is no failure, unlike
// breaking a promise.
var goals = []struct {
	scenario, name, figure string
	most                   float64
}{
	{"idle", `netpoll|cookie of (\d{4,}|[3-9]\d\d|2(0[1-9]|[1-9]\d)) B`, `^resident, each$`, 0},
	{"idle", `cookie of`, `^resident, each$`, 550},
	{"idle", `\+`, `^server CPU, 1,000 handshakes$`, 0.08},
	{"idle|check", ``, `^resident, each$`, 300},
	{"idle|check", ``, `^descriptors, each$`, 1},
	{"idle|check", ``, `^server CPU, 1,000 handshakes$`, 0.05},

	// 1.05 times what uWebSockets needed on another machine.
	{"echo", `^1,000 connections, 64 B, closed`, `^server CPU, a million$`, 12.7},
	{"echo", `^10,000 connections, 64 B, closed`, `^server CPU, a million$`, 16.1},

	{"roundtrip", `^1,000 connections, \S+ B, closed loop, reply`, `^gateway CPU, a million$`, 50},
	{"roundtrip", `^1,000 connections, \S+ B, closed`, `^gateway CPU, a million$`, 80},
	{"stuck", ``, `^latency p99$`, 10},
	{"ingest", ``, `^gateway CPU of the rest, of a bare client's$`, 1.3},
	{"ingest", ` 64 B, closed .*batches of 100$`, `^gateway CPU of the rest, a million$`, 2},
	{"push", `^1,000 connections, each call to one, 64 B.*closed`, `^gateway CPU, a million calls$`, 30},
	{"fanout", `users, 64 B`, `^10,000 targets: gateway CPU, a million deliveries$`, 16},
	{"fanout", `users, 64 B`, `^10,000 targets: to the last, median$`, 150},
	{"fanout", ``, `pong later than that$`, 5}, // than the machine makes an idle server's echo

	{"cluster", ``, `^CPU of both, against a local call$`, 2.5},
	{"cluster", ``, `^instance without a target, against the receiver$`, 0.02},
	{"cluster", ``, `^delivery, remote, p99, against NATS alone$`, 1.5},
	{"cluster", ``, `^delivery, remote, p99$`, 5},
	{"cluster", `10,000 users`, `^CPU in all, spread against all at one$`, 1.3},
	{"cluster", ``, `^CPU of a (send|round trip), with against without$`, 1.02},
	{"cluster", ``, `^openings a second, without against with$`, 1.05},
	{"cluster", ``, `^CPU of an opening, with against without$`, 1.05},
	{"cluster", `1,000,000 users`, `^memory, a name$`, 15},

	{"chaos-cluster", ``, `^until all knew the same`, 5},

	{"resume", ``, `^resumable, more than plain$`, 48},
	{"resume", `the app echoes`, `^resumable, against plain in the same gateway$`, 1.03},
	{"resume", ``, `^option on, plain, against option off$`, 1.01}, // nothing, and noise
	{"resume", ``, `^until all are back and have what they missed$`, 5},
	{"resume", ``, `^others' p99, against that while plain ones come back$`, 1.1}, // nothing, and noise
	{"resume", ``, `^start with sessions, more than a plain one$`, 1},

	{"hub", ``, `^resident, each$`, 300},
	{"hub", `^1,000,000 `, `^wheel tick, median$`, 1},
	{"hub", `^1,000,000 `, `^wheel tick, worst$`, 10},
	{"hub", `^1,000,000 `, `^full collection, CPU$`, 60},

	{"group", `^1,000,000 .* groups of 100,`, `^heap, each membership$`, 28},
	{"group", ` groups of 1,`, `^heap, each membership$`, 160},
	{"group", `^1,000,000 `, `^full collection, CPU$`, 30},
	{"group", ``, `^to a group: gateway CPU, of one to all$`, 1.05},
	{"group", ``, `^the same without deliveries$`, 2},
	{"group", ``, `pong later than that$`, 5},
}

var goalPatterns = sync.OnceValue(func() (all [][3]*regexp.Regexp) {
	for _, g := range goals {
		all = append(all, [3]*regexp.Regexp{
			regexp.MustCompile("^(" + g.scenario + ")$"), regexp.MustCompile(g.name), regexp.MustCompile(g.figure),
		})
	}
	return all
})

// goal is that of a figure; 0 is none.
func goal(scenario, name, figure string) float64 {
	for i, p := range goalPatterns() {
		if p[0].MatchString(scenario) && p[1].MatchString(name) && p[2].MatchString(figure) {
			return goals[i].most
		}
	}
	return 0
}
