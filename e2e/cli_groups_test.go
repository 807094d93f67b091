package e2e_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"ws-gateway/e2e/harness"
)

func TestCommandsJoinLeaveAndShowGroups(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	alice, bob := g.Dial(t, "alice"), g.Dial(t, "bob")
	g.cli(t, "", "groups").done(t, "")
	g.cli(t, "", "join", "room,1", "al\u202el", "--user", "alice").done(t, "")
	g.cli(t, "", "join", "room,1", "--conn", g.only("bob"), "--conn", "gone", "--report").done(t, "matched 1\n")
	all := strings.SplitAfter(g.cli(t, "", "groups").stdout, "\n") // in an order of the gateway's own
	if slices.Sort(all); !slices.Equal(all, []string{"", "al\\u202el\t1\n", "room,1\t2\n"}) {
		t.Errorf("the groups are %q", all)
	}
	g.cli(t, "", "groups", "--conn", g.only("bob")).done(t, "room,1\t2\n")
	if got := g.cli(t, "", "groups", "--user", "alice", "--limit", "1").stdout; strings.Count(got, "\n") != 1 {
		t.Errorf("with a limit of 1 the groups are %q", got)
	}
	g.cli(t, "", "groups", "--user", "bob", "--json").done(t, `{"name":"room,1","connections":2}`+"\n")
	g.cli(t, "", "groups", "--user", "nobody").done(t, "")

	g.cli(t, "", "send", "--group", "room,1", "--group", "al\u202el", "--report", "to the room").done(t, "matched 2, queued 2, slow 0\n")
	alice.Receive("to the room")
	bob.Receive("to the room")
	g.cli(t, "", "count", "--group", "room,1").done(t, "2 connections of 2 users\n")
	if got := g.cli(t, "", "list", "--group", "al\u202el").stdout; strings.Count(got, "\n") != 1 || !strings.HasPrefix(got, "alice\t") {
		t.Errorf("the members are %q", got)
	}

	g.cli(t, "", "join", "all but bob", "--all", "--exclude", g.only("bob"), "--report").done(t, "matched 1\n")
	g.cli(t, "", "leave", "all but bob", "--all", "--exclude", g.only("alice"), "--report").done(t, "matched 1\n")
	g.cli(t, "", "list", "--group", "all but bob", "--user", "bob").done(t, "")
	g.cli(t, "", "count", "--group", "all but bob").done(t, "1 connection of 1 user\n")
	g.cli(t, "", "leave", "all but bob", "--user", "alice").done(t, "")

	g.cli(t, "", "leave", "room,1", "al\u202el", "--user", "alice", "--json").done(t, `{"code":0,"message":"success","data":{"matched":1}}`+"\n")
	g.cli(t, "", "groups").done(t, "room,1\t1\n")
	g.cli(t, "", "close", "--group", "room,1", "--code", "4001", "--report").done(t, "matched 1\n")
	bob.ClosedWith(4001, "")
	g.cli(t, "", "groups").done(t, "")

	g.cli(t, "", "send", "--group", "room,1", "--fail-if-none", "x").failed(t, 4, "nobody is in such a group")
	g.cli(t, "", "join", "x", "--user", "nobody", "--fail-if-none").failed(t, 4, "no such connection")
	g.cli(t, "", "join", "", "--user", "alice").failed(t, 3, "cannot be the name of a group")
	g.cli(t, "", "join", "\xff", "--user", "alice").failed(t, exitUsage, "UTF-8")
	g.cli(t, "", "join", "x").failed(t, exitUsage, "which connections")
	g.cli(t, "", "join", "x", "--all", "--user", "alice").failed(t, exitUsage, "--all")
	g.cli(t, "", "close", "--group", "x", "--user", "alice").failed(t, exitUsage, "--group")
}

func TestTailOfAGroupShowsItsMembersAsTheyComeAndGo(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t)
	alice, bob := g.Dial(t, "alice"), g.Dial(t, "bob")
	g.cli(t, "", "join", "room", "--user", "alice").done(t, "")
	r := startCLI(t, "tail", "--gateway", g.Addr, "--group", "room", "--payload")
	// Whatever happens before it listens is not shown: repeat until it is.
	harness.Poll(t, "an event", func() bool {
		bob.Send("of nobody in the room")
		alice.Send("hello")
		return len(r.output.MatchingNow(" message ", "alice", "hello")) > 0
	})
	g.cli(t, "", "join", "room", "--user", "bob").done(t, "")
	bob.Send("I am in")
	r.shows(r.output, " message ", "bob", "I am in")
	g.cli(t, "", "close", "--group", "room").done(t, "")
	r.shows(r.output, " close ", "alice", "1000 by app")
	r.shows(r.output, " close ", "bob", "1000 by app")
	if len(r.output.MatchingNow("of nobody in the room")) > 0 {
		t.Error("it shows what happened to somebody who was not in the group")
	}
	r.interrupted()
}

func TestGroupsFollowsCursorsUntilItHasEnough(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var asked []string
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.URL.RawQuery)
		n := 0
		fmt.Sscan(r.FormValue("limit"), &n)
		groups := strings.TrimSuffix(strings.Repeat(`{"name":"x","connections":1},`, n), ",")
		fmt.Fprintf(w, `{"code":0,"message":"success","data":[%s],"cursor":"after %d"}`, groups, len(asked))
	}))
	defer api.Close()
	got := cli(t, "", nil, "groups", "--gateway", api.URL, "--limit", "600", "--user", "a,b", "--user", "c")
	mu.Lock()
	defer mu.Unlock()
	want := "limit=500&user=a%2Cb&user=c\ncursor=after+1&limit=100&user=a%2Cb&user=c"
	if strings.Count(got.stdout, "\n") != 600 || got.code != 0 || strings.Join(asked, "\n") != want {
		t.Errorf("%d lines, exit code %d; asked %q", strings.Count(got.stdout, "\n"), got.code, asked)
	}
}
