package admin

import (
	"context"
	"net/http"
	"testing"

	"github.com/gobwas/ws"

	"ws-gateway/cluster"
	"ws-gateway/hub"
	"ws-gateway/netpoll"
)

// partial is a cluster of which only this gateway is reached.
type partial struct {
	*hub.Hub
	err error
}

func (p partial) SendThen(ctx context.Context, t hub.Targets, f *netpoll.Frame, wait bool, done hub.Releaser) (hub.Report, error) {
	r, err := p.Hub.SendThen(ctx, t, f, wait, done)
	return r, firstOf(err, p.err)
}

func (p partial) Close(ctx context.Context, t hub.Targets, code ws.StatusCode, reason string) (hub.Report, error) {
	r, err := p.Hub.Close(ctx, t, code, reason)
	return r, firstOf(err, p.err)
}

func (p partial) Join(ctx context.Context, t hub.Targets, groups []string) (int, error) {
	n, err := p.Hub.Join(ctx, t, groups)
	return n, firstOf(err, p.err)
}

func (p partial) ListMembers(ctx context.Context, groups []string, q hub.Query, yield func(string, []hub.Info) error) (string, error) {
	next, err := p.Hub.ListMembers(ctx, groups, q, yield)
	return next, firstOf(err, p.err)
}

func (p partial) CountMembers(ctx context.Context, groups []string, q hub.Query) (int, int, error) {
	conns, users, err := p.Hub.CountMembers(ctx, groups, q)
	return conns, users, firstOf(err, p.err)
}

func (p partial) ListGroups(ctx context.Context, q hub.GroupQuery, yield func([]hub.Group) error) (string, error) {
	next, err := p.Hub.ListGroups(ctx, q, yield)
	return next, firstOf(err, p.err)
}

func (p partial) Describe(context.Context, string) (hub.Info, []string, bool, error) {
	return hub.Info{}, nil, false, p.err
}

func firstOf(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

func TestAnswersNameTheInstancesThatAreMissing(t *testing.T) {
	const (
		names   = `,"missing":["b","c"]}`
		silent  = `{"code":502,"message":"instances of the cluster that are not reached: b, c"`
		success = `{"code":0,"message":"success"`
	)
	for _, late := range []bool{false, true} {
		r := newRig(t, func(cfg *Config) {
			cfg.Cluster = partial{cfg.Hub, &cluster.MissingError{Names: []string{"b", "c"}, Late: late}}
		})
		failure := silent
		if late {
			failure = `{"code":504,"message":"instances of the cluster that have not answered in time: b, c"`
		}
		for _, c := range []struct{ method, path, body, want string }{
			{"POST", "/tapr/ws/conn/send", `{"all":true,"payload":1}`, failure + names},
			{"POST", "/tapr/ws/conn/send", `{"all":true,"payload":1,"report":true}`, failure + `,"data":{"matched":0,"queued":0,"slow":0}` + names},
			{"POST", "/tapr/ws/conn/close", `{"all":true}`, failure + `,"data":{"matched":0}` + names},
			{"POST", "/tapr/ws/group/join", `{"all":true,"groups":["g"]}`, failure + `,"data":{"matched":0}` + names},
			{"GET", "/tapr/ws/conn/list", "", success + `,"data":[]` + names},
			{"GET", "/tapr/ws/conn/count", "", success + `,"data":{"connections":0,"users":0}` + names},
			{"GET", "/tapr/ws/group/list", "", success + `,"data":[]` + names},
		} {
			if got := r.do(c.method, c.path, c.body); got.status != http.StatusOK || got.body != c.want {
				t.Errorf("%s %s: %d %s, want %s", c.path, c.body, got.status, got.body, c.want)
			}
		}
		if got := r.do("GET", "/tapr/ws/conn/get?conn_id=x", ""); late && got.body != failure+names {
			t.Errorf("get: %s", got.body)
		}
	}
}

func TestACallWithTheLocalScopeIsAboutThisGatewayAlone(t *testing.T) {
	r := newRig(t, func(cfg *Config) { cfg.Cluster = partial{cfg.Hub, &cluster.MissingError{Names: []string{"b"}}} })
	for _, c := range []struct{ method, path, body, want string }{
		{"POST", "/tapr/ws/conn/send", `{"all":true,"payload":1,"scope":"local"}`, `{"code":0,"message":"success"}`},
		{"POST", "/tapr/ws/conn/close", `{"all":true,"scope":"local"}`, `{"code":0,"message":"success"}`},
		{"POST", "/tapr/ws/group/join", `{"all":true,"groups":["g"],"scope":"local"}`, `{"code":0,"message":"success","data":{"matched":0}}`},
		{"GET", "/tapr/ws/conn/list?scope=local", "", `{"code":0,"message":"success","data":[]}`},
		{"GET", "/tapr/ws/conn/count?scope=local", "", `{"code":0,"message":"success","data":{"connections":0,"users":0}}`},
		{"GET", "/tapr/ws/group/list?scope=local", "", `{"code":0,"message":"success","data":[]}`},
		{"GET", "/tapr/ws/conn/get?conn_id=x&scope=local", "", `{"code":404,"message":"no such connection"}`},
		{"GET", "/tapr/ws/conn/get?conn_id=x&scope=here", "", `{"code":400,"message":"this gateway is in no cluster: scope must be \"local\" or \"cluster\""}`},
		{"POST", "/tapr/ws/conn/send", `{"all":true,"payload":1,"scope":1}`, `{"code":400,"message":"scope must be a string"}`},
	} {
		if got := r.do(c.method, c.path, c.body); got.status != http.StatusOK || got.body != c.want {
			t.Errorf("%s %s: %d %s, want %s", c.path, c.body, got.status, got.body, c.want)
		}
	}
}
