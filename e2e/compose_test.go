package e2e_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/nats-io/nats-server/v2/server"

	"ws-gateway/cluster/bus/natsbus/natstest"
	"ws-gateway/e2e/harness"
)

const composeFolder = "../deploy/compose/"

// composed is one of the services of deploy/compose.
type composed struct {
	Command     []string
	Environment map[string]string
}

func composeServices(t *testing.T) map[string]composed {
	t.Helper()
	text, err := os.ReadFile(composeFolder + "compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Services map[string]composed }
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	return file.Services
}

// replica starts an app as deploy/compose does, and returns how its gateway is started, but
// for the network: the addresses are of this host, and the volume is a folder.
func replica(t *testing.T, s composed, nats *natstest.Server) launch {
	t.Helper()
	appPort, manage := harness.FreePort(t), "127.0.0.1:"+harness.FreePort(t)
	file, err := filepath.Abs(composeFolder + "app.py")
	if err != nil {
		t.Fatal(err)
	}
	app := exec.Command("python3", "-u", file)
	app.Env = append(os.Environ(), "PORT="+appPort, "GATEWAY=http://"+manage)
	app.Stderr = t.Output()
	if err := app.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { app.Process.Kill(); app.Wait() })

	password := "${CLUSTER_PASSWORD:?choose one, of letters, digits and -, with a letter first}"
	here := strings.NewReplacer(
		"127.0.0.1:8888", "127.0.0.1:"+appPort, "127.0.0.1:40011", manage, ":40012", "127.0.0.1:0", "/var/lib/ws-gateway", t.TempDir(),
		password+"@nats:4222", os.Getenv("CLUSTER_PASSWORD")+"@"+strings.TrimPrefix(nats.URL(), "nats://"))
	l := launch{}
	for _, arg := range s.Command {
		l.args = append(l.args, here.Replace(arg))
	}
	for name, value := range s.Environment {
		l.env = append(l.env, name+"="+here.Replace(value))
	}
	return l
}

// balance passes clients on to gateways in turn, as deploy/compose/nginx.conf does.
func balance(t *testing.T, gateways ...*gateway) (at string) {
	t.Helper()
	var turn atomic.Uint64
	proxy := &http.Server{Handler: &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		g := gateways[turn.Add(1)%uint64(len(gateways))]
		r.SetURL(&url.URL{Scheme: "http", Host: g.Addr})
		r.Out.URL.Path = "/ws"
		r.Out.Header.Set("X-Bfl-User", r.In.URL.Query().Get("user"))
	}}}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go proxy.Serve(ln)
	t.Cleanup(func() { proxy.Close() })
	return ln.Addr().String()
}

// It is the set-up of deploy/compose with the programs themselves: NATS with its
// configuration, the app, and the gateways with their arguments. Containers, their network,
// volumes and nginx are left out.
func TestTheReplicasOfTheComposeExampleAnswerAsOne(t *testing.T) {
	t.Setenv("CLUSTER_PASSWORD", "pw-1")
	conf, err := server.ProcessConfigFile(composeFolder + "nats.conf")
	if err != nil {
		t.Fatal(err)
	}
	nats := natstest.Start(t, func(o *server.Options) { o.Users = conf.Users })
	services := composeServices(t)
	first, second := replica(t, services["gateway-1"], nats), replica(t, services["gateway-2"], nats)
	one, two := first.start(t), second.start(t)
	one.awaitInstances(t, 1)
	two.awaitInstances(t, 1)

	at := balance(t, one, two)
	var clients []*client
	for _, user := range []string{"ada", "bela"} {
		through := &gateway{&harness.Gateway{T: t, Addr: at, HTTP: one.HTTP}}
		clients = append(clients, through.Connect(t, harness.Visitor{Target: "/ws?user=" + user}))
	}
	for _, g := range []*gateway{one, two} {
		g.expectMetric(t, "ws_gateway_connections", 1)
	}
	cid := one.roam(t, "cid") // before anything is sent: who comes while a send is under way may get it
	for i, user := range []string{"ada", "bela"} {
		clients[i].Send(fmt.Sprintf(`"I am %s"`, user))
		for _, c := range clients {
			c.Receive(fmt.Sprintf(`{"from": %q, "said": "I am %s"}`, user, user))
		}
	}

	cid.await(2)

	// One gateway is replaced. Whoever resumes keeps its session, at either of them.
	cid.send(`"I am cid"`)
	cid.settled()
	if done := one.stop(t); done.Number("sessions_kept") != 1 {
		t.Errorf("%s", done.Raw)
	}
	if err := cid.at(two).tryConnect(); err == nil || !strings.HasPrefix(err.Error(), "status 503") {
		t.Errorf("while it is away: %v %+v", err, cid.greeting)
	}
	one = first.start(t)
	one.found(t, "taken", 1)
	cid.untilServed()
	if !cid.Resumed {
		t.Errorf("%+v", cid.greeting)
	}
	cid.await(3)
	cid.expectGot(`text {"from": "ada", "said": "I am ada"}`, `text {"from": "bela", "said": "I am bela"}`, `text {"from": "cid", "said": "I am cid"}`)
}
