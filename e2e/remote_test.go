package e2e_test

import (
	"strings"
	"testing"
)

// from is a client that a proxy passes on from an address.
func (g *gateway) from(t *testing.T, address, user string) (closed func()) {
	t.Helper()
	c := g.Connect(t, visitor{User: user, Header: map[string]string{"X-Forwarded-For": address}})
	return func() {
		t.Helper()
		c.ClosedWith(4003, "not from there")
	}
}

func TestConnectionsAreListedCountedAndClosedByAddressThroughAnyGatewayOfACluster(t *testing.T) {
	t.Parallel()
	_, all := startCluster(t, 2, "--trusted-proxies=127.0.0.0/8")
	a, b := all[0], all[1]
	alice := a.from(t, "192.0.2.1", "alice")
	bob := b.from(t, "192.0.2.2", "bob")
	b.from(t, "198.51.100.7", "carol")
	count := func(query, want string) {
		t.Helper()
		if got := a.ask(t, "GET", countPath+query, ""); got != `{"code":0,"message":"success","data":`+want+`}` {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	count("?remote=192.0.2.0/24", `{"connections":2,"users":2}`)
	count("?remote=192.0.2.2", `{"connections":1,"users":1}`)
	count("?remote=192.0.2.0/24&scope=local", `{"connections":1,"users":1}`)
	count("?older_than=1h", `{"connections":0,"users":0}`)
	count("?older_than=1ns&user_prefix=c", `{"connections":1,"users":1}`)
	count("?user=alice&user=carol&remote=198.51.100.7", `{"connections":1,"users":1}`)
	if got := a.ask(t, "GET", listPath+"?remote=192.0.2.0/24&older_than=1us", ""); strings.Count(got, `"remoteAddr":"192.0.2.`) != 2 || strings.Contains(got, "carol") {
		t.Errorf("%s", got)
	}
	if got := a.ask(t, "GET", listPath+"?older_than=30m", ""); got != `{"code":0,"message":"success","data":[]}` {
		t.Errorf("%s", got)
	}
	if got, want := a.ask(t, "POST", closePath, `{"remote":"192.0.2.0/24","code":4003,"reason":"not from there","report":true}`), `{"code":0,"message":"success","data":{"matched":2}}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	alice()
	bob()
	count("", `{"connections":1,"users":1}`)
	for body, want := range map[string]string{
		`{"remote":"elsewhere"}`:                   "remote must be an address, with or without its port, or a range such as 192.0.2.0/24",
		`{"remote":1}`:                             "remote must be a string",
		`{"remote":"","users":[]}`:                 "close target is nil: name conns or users, or set all",
		`{"remote":"192.0.2.1","users":["x"]}`:     "remote cannot be combined with conn_id, conns, users, groups or all: use a call for each",
		`{"remote":"192.0.2.1","all":true}`:        "remote cannot be combined with conn_id, conns, users, groups or all: use a call for each",
		`{"remote":"192.0.2.1","groups":["room"]}`: "remote cannot be combined with conn_id, conns, users, groups or all: use a call for each",
		`{"remote":"192.0.2.1","conn_id":"x"}`:     "remote cannot be combined with conn_id, conns, users, groups or all: use a call for each",
	} {
		if got := a.ask(t, "POST", closePath, body); got != `{"code":400,"message":"`+want+`"}` {
			t.Errorf("%s: %s", body, got)
		}
	}
	for _, query := range []string{"?older_than=", "?older_than=1", "?older_than=-1s", "?older_than=soon"} {
		for _, path := range []string{listPath, countPath} {
			if got := a.ask(t, "GET", path+query, ""); got != `{"code":400,"message":"older_than must be a time such as 90s, 15m or 1h30m"}` {
				t.Errorf("%s: %s", query, got)
			}
		}
	}
	count("", `{"connections":1,"users":1}`)
}

func TestTheCommandsSelectByAddressAndAge(t *testing.T) {
	t.Parallel()
	g := startPushOnly(t, "--trusted-proxies=127.0.0.0/8")
	alice := g.from(t, "192.0.2.1", "alice")
	g.from(t, "198.51.100.7", "bob")
	g.cli(t, "", "count", "--remote", "192.0.2.0/24").done(t, "1 connection of 1 user\n")
	g.cli(t, "", "count", "--older-than", "1h30m", "--user", "alice").done(t, "0 connections of 0 users\n")
	g.cli(t, "", "list", "--older-than", "1h").done(t, "")
	if out := g.cli(t, "", "list", "--older-than", "1ns", "--user-prefix", "b"); out.code != 0 || strings.Count(out.stdout, "\n") != 1 || !strings.Contains(out.stdout, "198.51.100.7") {
		t.Errorf("%+v", out)
	}
	if out := g.cli(t, "", "close", "--remote", "192.0.2.0/24", "--user", "alice"); out.code != exitUsage || !strings.Contains(out.stderr, "--remote") {
		t.Errorf("%+v", out)
	}
	if out := g.cli(t, "", "close"); out.code != exitUsage || !strings.Contains(out.stderr, "--remote ADDRESS") {
		t.Errorf("%+v", out)
	}
	g.cli(t, "", "close", "--remote", "192.0.2.0/24", "--code", "4003", "--reason", "not from there", "--report").done(t, "matched 1\n")
	alice()
}
