package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"ws-gateway/cluster/bus/natsbus/natstest"
	"ws-gateway/e2e/harness"
)

// natsCertificate makes one for 127.0.0.1 that signs itself, and writes it to a file.
func natsCertificate(t *testing.T) (pair tls.Certificate, file string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

// userKey makes the key of a NATS user, and writes it to a file.
func userKey(t *testing.T) (public, file string) {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, _ = pair.PublicKey()
	seed, _ := pair.Seed()
	file = filepath.Join(t.TempDir(), "user.nk")
	if err := os.WriteFile(file, append(seed, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	return public, file
}

// journalSubjects are what docs/operations.md says that --cluster-journal needs.
func journalSubjects() []string {
	return []string{"$JS.API.STREAM.INFO.wsg_shop", "$JS.API.STREAM.CREATE.wsg_shop", "$JS.API.STREAM.MSG.GET.wsg_shop", "$JS.API.STREAM.PURGE.wsg_shop"}
}

func TestOverTLSWithAKeyThatMayUseNothingButItsAppAllOfItWorks(t *testing.T) {
	t.Parallel()
	pair, ca := natsCertificate(t)
	public, key := userKey(t)
	folder := t.TempDir()
	s := natstest.Start(t, func(o *server.Options) {
		o.TLS, o.TLSConfig, o.TLSTimeout = true, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, 60
		o.JetStream, o.StoreDir, o.JetStreamMaxStore, o.AuthTimeout = true, folder, 1<<30, 60
		o.Nkeys = []*server.NkeyUser{{Nkey: public, Permissions: &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: append(journalSubjects(), "wsg.shop.>")},
			Subscribe: &server.SubjectPermission{Allow: []string{"wsg.shop.>"}},
		}}}
	})
	url, app := "tls://"+s.URL()[strings.LastIndex(s.URL(), "/")+1:], startApp(t)
	args := []string{"--cluster-ca", ca, "--cluster-nkey", key}
	start := func(i int) *gateway {
		return startGateway(t, app, append([]string{"--cluster", url, "--cluster-app", "shop", "--cluster-name", memberName(i), "--cluster-journal", "--cluster-timeout", "1m", "--cluster-dead-after", "6s"}, args...)...)
	}
	a, b := start(0), start(1)
	a.awaitOthers(t, 1, 0)
	b.awaitOthers(t, 1, 0)
	_, conns := b.crowd(app, "alice", 1)
	b.recorded(t, 1)
	a.reaches("1", "alice-0")
	b.kill()
	app.awaitLost(t, conns)
	a.expectMetric(t, "ws_gateway_cluster_takeover_closes_total", 1) // the subject has been emptied
	for _, line := range a.Log.All() {
		if line.Has("NATS does not let") || line.Has("cannot be written") {
			t.Error(line.Raw)
		}
	}
}

func TestAPermissionThatIsMissingIsNamedInTheLog(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "gateway", Password: "secret-word", Permissions: &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: []string{"wsg.shop.>"}, Deny: []string{"wsg.shop.hb"}},
			Subscribe: &server.SubjectPermission{Allow: []string{"wsg.shop.>"}},
		}}}
	})
	url := strings.Replace(s.URL(), "nats://", "nats://gateway:secret-word@", 1)
	g := startMember(t, url, 0, "--cluster-required")
	if _, ok := g.Log.Await(harness.Patience, func(l harness.Line) bool {
		return l.Has("NATS does not let this gateway use a subject", "wsg.shop.hb")
	}); !ok {
		t.Error("the log does not name the subject")
	}
	for _, line := range g.Log.All() {
		if line.Has("secret-word") {
			t.Errorf("the log has the password: %s", line.Raw)
		}
	}
	if got := g.ask(t, "GET", "/tapr/ws/conn/count", ""); got != `{"code":0,"message":"success","data":{"connections":0,"users":0},"missing":["*"]}` {
		t.Errorf("those of all: %s", got)
	}
	if got := g.get("/readyz"); got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, "NATS") {
		t.Errorf("/readyz answers %d %s", got.status, got.body)
	}
	g.expectMetric(t, "ws_gateway_cluster_link_up", 0)
	if got := g.ask(t, "GET", "/tapr/ws/conn/count?scope=local", ""); got != `{"code":0,"message":"success","data":{"connections":0,"users":0}}` {
		t.Errorf("its own connections: %s", got)
	}
}

func TestOfTwoGatewaysOfOneNameBothWorkAndAreTold(t *testing.T) {
	t.Parallel()
	s := startNATS(t)
	a, b := startMember(t, s.URL(), 7), startMember(t, s.URL(), 7)
	a.awaitOthers(t, 1, 0)
	b.awaitOthers(t, 1, 0)
	const taken = "another instance has the name of this one"
	for _, one := range []*gateway{a, b} {
		one.logged(t, 1, taken)
	}
	alice := b.Dial(t, "alice")
	a.sends("alice", 0, 3)
	receives(t, alice, 0, 3)
	if got := a.ask(t, "GET", "/tapr/ws/conn/count?scope=gateway-7", ""); !strings.Contains(got, "several instances of the cluster have this name") {
		t.Errorf("by that name: %s", got)
	}
}

func TestAGatewayOfAVersionThatIsNotUnderstoodIsToldOfAndHarmsNobody(t *testing.T) {
	t.Parallel()
	c := startTogether(t, 2)
	other, err := nats.Connect(c.nats.URL(), nats.NoEcho())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	heard, err := other.SubscribeSync("wsg.shop.hb")
	if err != nil {
		t.Fatal(err)
	}
	m, err := heard.NextMsg(harness.Patience)
	if err != nil {
		t.Fatal(err)
	}
	later := slices.Clone(m.Data)
	later[3]++ // the version
	const said = "a packet that is not one of this cluster"
	for range 3 {
		if err := other.Publish("wsg.shop.hb", later); err != nil {
			t.Fatal(err)
		}
	}
	for _, g := range c.gateways {
		g.awaitMetric(t, `ws_gateway_cluster_packets_ignored_total{reason="malformed"}`, 3)
		g.logged(t, 1, said, "version")
	}
	alice := c.gateways[1].Dial(t, "alice")
	c.gateways[0].sends("alice", 0, 1)
	alice.Receive(message(0))
	c.whole(t)
}

func TestWhileNATSIsAwayForLongerThanTheHoldWhatIsLostIsCountedAndTheRestArrives(t *testing.T) {
	t.Parallel()
	s := startNATS(t)
	short := []string{"--cluster-hold", "1s"}
	a, b := startMember(t, s.URL(), 0, short...), startMember(t, s.URL(), 1, short...)
	a.awaitOthers(t, 1, 0)
	b.awaitOthers(t, 1, 0)
	alice := b.Dial(t, "alice")
	a.reaches(message(0), "alice")
	alice.Receive(message(0))
	s.Stop()
	a.awaitOthers(t, 1, 1)
	before := a.metricNow(t, givenUp)
	for range 3 {
		a.post(sendPath, `{"users":["alice"],"payload":"lost"}`).answered(t, http.StatusBadGateway, "gateway-1")
	}
	a.awaitMetric(t, givenUp, before+3)
	s.Restart()
	a.awaitOthers(t, 1, 0)
	b.awaitOthers(t, 1, 0)
	for n := 1; n < 4; n++ {
		a.reaches(message(n), "alice")
	}
	receives(t, alice, 1, 4) // and nothing that was given up before them
}

func TestCheckAsksJetStreamForWhatTheJournalOfTheClusterNeeds(t *testing.T) {
	t.Parallel()
	app := startApp(t)
	folder := t.TempDir()
	allow := func(subjects []string) *server.Permissions {
		return &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: append(subjects, "wsg.shop.>")},
			Subscribe: &server.SubjectPermission{Allow: []string{"wsg.shop.>"}},
		}
	}
	with := natstest.Start(t, func(o *server.Options) {
		o.JetStream, o.StoreDir, o.JetStreamMaxStore = true, folder, 1<<30
		o.Users = []*server.User{{Username: "all", Password: "secret-word", Permissions: allow(journalSubjects())}}
		for i, subject := range journalSubjects() {
			o.Users = append(o.Users, &server.User{Username: fmt.Sprint("without", i), Password: "secret-word", Permissions: allow(slices.DeleteFunc(journalSubjects(), func(s string) bool { return s == subject }))})
		}
	})
	without := natstest.Start(t, nil)
	finding := func(url, user string) map[string]string {
		if user != "" {
			url = strings.Replace(url, "://", "://"+user+":secret-word@", 1)
		}
		code, found := check(t, "--callback-url", app.url(), "--cluster", url, "--cluster-app", "shop", "--cluster-journal")
		f := found["cluster-journal"]
		if code != 0 || found["cluster"]["state"] != "ok" || strings.Contains(f["message"]+f["fix"], "secret-word") {
			t.Errorf("%s: exit code %d: %v", user, code, found)
		}
		return f
	}
	if f := finding(with.URL(), "all"); f["state"] != "ok" {
		t.Errorf("with all that is needed: %v", f)
	}
	for i, subject := range journalSubjects() {
		if f := finding(with.URL(), fmt.Sprint("without", i)); f["state"] != "warn" || !strings.Contains(f["message"], subject) || !strings.Contains(f["fix"], "allow this gateway's user") {
			t.Errorf("without %s: %v", subject, f)
		}
	}
	if f := finding(without.URL(), ""); f["state"] != "warn" || !strings.Contains(f["fix"], "enable JetStream") {
		t.Errorf("without JetStream: %v", f)
	}
}
