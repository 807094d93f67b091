package e2e_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"ws-gateway/e2e/harness"
)

// clusterSubjects are all subjects on which gateways of an app publish, with * for what
// differs from one to the other.
var clusterSubjects = []string{
	"wsg.shop.hb",        // heartbeats
	"wsg.shop.inbox.*.*", // JetStream's answers
	"wsg.shop.journal.*", // of each gateway
	"wsg.shop.to.*.*",    // from one gateway to another
}

var differs = regexp.MustCompile(`^(wsg\.shop\.(to|journal|inbox))((\.[^.]+)+)$`)

// pattern is a subject with * for what differs.
func pattern(subject string) string {
	m := differs.FindStringSubmatch(subject)
	if m == nil {
		return subject
	}
	return m[1] + strings.Repeat(".*", strings.Count(m[3], "."))
}

// eavesdropper has what is published on the subjects of an app: some of each kind from each
// publisher.
type eavesdropper struct {
	conn *nats.Conn

	mu      sync.Mutex
	samples map[string][]*nats.Msg // by pattern
	taken   map[string]int
}

func eavesdrop(t *testing.T, url string) *eavesdropper {
	t.Helper()
	conn, err := nats.Connect(url, nats.NoEcho())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	e := &eavesdropper{conn: conn, samples: map[string][]*nats.Msg{}, taken: map[string]int{}}
	if _, err := conn.Subscribe("wsg.shop.>", e.take); err != nil {
		t.Fatal(err)
	}
	return e
}

func (e *eavesdropper) take(m *nats.Msg) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := pattern(m.Subject)
	kind := p
	if strings.Contains(p, "journal") {
		kind = m.Subject
	}
	if bytes.HasPrefix(m.Data, []byte("wsg")) && len(m.Data) > 16 { // a packet's kind and sender
		kind += string(m.Data[4]) + string(m.Data[8:16])
	}
	if e.taken[kind]++; e.taken[kind] <= 2 {
		e.samples[p] = append(e.samples[p], m)
	}
}

// heard returns the patterns of all subjects on which something was published.
func (e *eavesdropper) heard() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Sorted(maps.Keys(e.samples))
}

// spoilt is a message in every way in which it can come that is not its own.
func spoilt(m *nats.Msg) (all []*nats.Msg) {
	add := func(data []byte, headers ...nats.Header) {
		all = append(all, &nats.Msg{Data: data})
		for _, h := range headers {
			all = append(all, &nats.Msg{Data: data, Header: h})
		}
	}
	add(nil)
	add([]byte("garbage"))
	add(m.Data, m.Header) // once more
	if len(m.Data) == 0 {
		return all
	}
	add(m.Data[:len(m.Data)/2], m.Header)
	add(m.Data[:len(m.Data)-1], m.Header)
	flipped := slices.Clone(m.Data)
	flipped[len(flipped)/2] ^= 1
	add(flipped, m.Header)
	for _, at := range []int{0, 3} { // where a journal's batch and a packet have their version
		if at < len(m.Data) {
			later := slices.Clone(m.Data)
			later[at]++
			add(sealed(later), m.Header)
		}
	}
	return all
}

// sealed makes a packet's checksum right.
func sealed(packet []byte) []byte {
	if len(packet) < 4 {
		return packet
	}
	end := len(packet) - 4
	return binary.BigEndian.AppendUint32(packet[:end:end], crc32.Checksum(packet[:end], crc32.MakeTable(crc32.Castagnoli)))
}

// litter publishes all that was heard: spoilt on its own subject, and as it was on one of
// each other pattern. It returns how many messages that were.
func (e *eavesdropper) litter(t *testing.T) (published int) {
	t.Helper()
	e.mu.Lock()
	samples := maps.Clone(e.samples)
	e.mu.Unlock()
	publish := func(m *nats.Msg, subject string) {
		again := *m
		again.Subject, again.Reply, again.Sub = subject, "", nil
		if err := e.conn.PublishMsg(&again); err != nil {
			t.Fatal(err)
		}
		published++
	}
	for p, of := range samples {
		for i, m := range of {
			for _, bad := range spoilt(m) {
				publish(bad, m.Subject)
			}
			for other, there := range samples {
				if other != p {
					publish(m, there[i%len(there)].Subject)
				}
			}
		}
		m := of[0]
		large := append(slices.Clone(m.Data), make([]byte, 1<<20-len(m.Data)-4<<10)...)
		publish(&nats.Msg{Data: large}, m.Subject)
		publish(&nats.Msg{Data: sealed(large), Header: m.Header}, m.Subject)
		publish(&nats.Msg{Header: nats.Header{"Status": {"503"}}}, m.Subject) // as if nobody took what was sent
		if err := e.conn.Flush(); err != nil {                                // so that NATS cuts nobody for being slow
			t.Fatal(err)
		}
	}
	return published
}

// journalled are the names for which something is in the cluster's journal.
func (e *eavesdropper) journalled(t *testing.T) []string {
	t.Helper()
	js, err := jetstream.New(e.conn)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "wsg_shop")
	if err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter(">"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.Collect(maps.Keys(info.State.Subjects))
}

func TestGarbageOnEverySubjectIsCountedAndHarmsNobody(t *testing.T) {
	t.Parallel()
	server, app := startWithJetStream(t), startApp(t)
	e := eavesdrop(t, server.URL())
	c := &together{nats: server}
	for i := range 3 {
		c.gateways = append(c.gateways, startGateway(t, app, "--cluster", server.URL(), "--cluster-app", "shop", "--cluster-name", memberName(i), "--cluster-journal",
			"--cluster-timeout", "1m", "--cluster-hold", "14s", "--cluster-dead-after", "15s", "--resume-for", "10m", "--max-pending-bytes", "8MiB", "--max-meta", "64"))
	}
	c.whole(t)
	user := func(i int) string { return fmt.Sprint("user-", i) }
	var clients []*client
	var conns []string
	for i, g := range c.gateways {
		clients = append(clients, g.Dial(t, user(i)))
		clients[i].WS.SetReadLimit(4 << 20)
		conns = append(conns, app.opened(user(i)))
		g.recorded(t, 1)
	}
	roamer := moved(t, c.gateways[0], c.gateways[2], "roamer")
	conns = append(conns, app.opened("roamer"))

	// What everything that gateways tell each other is in, once.
	next, relayed := 0, []string{}
	everything := func(gateways ...int) {
		t.Helper()
		for _, i := range gateways {
			g := c.gateways[i]
			for _, j := range gateways {
				g.sends(user(j), next, next+1)
				clients[j].Receive(message(next))
				next++
			}
			g.sends("roamer", next, next+1)
			relayed = append(relayed, "text "+message(next))
			roamer.gets(relayed...)
			next++
			if connections, _ := g.countIn(); connections != len(gateways)+1 {
				t.Errorf("gateway %d counts %d connections", i, connections)
			}
			if ids, missing, _ := g.listThrough(t, ""); len(ids) != len(gateways)+1 || len(missing) > 0 {
				t.Errorf("gateway %d lists %v, without %v", i, ids, missing)
			}
			if matched := g.join(fmt.Sprintf(`{"users":["user-0","user-2"],"groups":["room-%d"]}`, i)); matched != 2 {
				t.Errorf("gateway %d: %d have joined", i, matched)
			}
			g.get(getPath+"?conn_id="+conns[0]).answered(t, 0)
			g.post("/tapr/ws/conn/meta", fmt.Sprintf(`{"users":["user-0"],"meta":{"n":%d}}`, next)).answered(t, 0)
		}
	}
	events := c.gateways[0].watchEvents(t, "?action=close")
	everything(0, 1, 2)
	long := strings.Repeat("x", 1<<20+1<<19)
	c.gateways[0].post(sendPath, `{"users":["user-1"],"payload":"`+long+`"}`).answered(t, 0)
	if _, text, err := clients[1].Read(); err != nil || !strings.Contains(text, long) {
		t.Fatalf("%d bytes came, %v", len(text), err)
	}
	harness.Poll(t, fmt.Sprintf("something on each of %q, but for these on none: name others in clusterSubjects", clusterSubjects), func() bool {
		return slices.Equal(e.heard(), clusterSubjects)
	})

	const malformed, ignored = `ws_gateway_cluster_packets_ignored_total{reason="malformed"}`, "ws_gateway_cluster_journal_ignored_total"
	t.Logf("%d messages", e.litter(t))
	for _, g := range c.gateways {
		g.awaitMetric(t, malformed, 20)
		g.awaitMetric(t, ignored, 20)
	}
	c.whole(t)
	everything(0, 1, 2) // and nothing a second time before that

	// When the journal has been looked through for longer than it takes to be dead, all live.
	const nobodys = "wsg.shop.journal.00000000000000aa"
	if err := e.conn.Publish(nobodys, []byte("garbage")); err != nil {
		t.Fatal(err)
	}
	harness.Poll(t, "what is nobody's to be there", func() bool { return slices.Contains(e.journalled(t), nobodys) })
	harness.Poll(t, "what is nobody's to be removed", func() bool { return !slices.Contains(e.journalled(t), nobodys) })
	everything(0, 1, 2)
	for _, call := range app.since(0) {
		if call.event.Action == "close" {
			t.Errorf("a close event of a connection that is open: %s", call.body)
		}
	}

	// Whoever dies then is found dead, though its heartbeats come once more.
	c.gateways[1].kill()
	e.litter(t)
	app.awaitLost(t, conns[1:2])
	for _, i := range []int{0, 2} {
		c.gateways[i].awaitOthers(t, 1, 0)
	}
	everything(0, 2)
	takeovers := 0.0
	harness.Poll(t, "the take-over to be counted", func() bool {
		takeovers = c.gateways[0].metricNow(t, "ws_gateway_cluster_takeovers_total") + c.gateways[2].metricNow(t, "ws_gateway_cluster_takeovers_total")
		return takeovers > 0
	})
	if takeovers != 1 {
		t.Errorf("%v take-overs", takeovers)
	}
	clients[2].Close(1000, "")
	app.closed(user(2))
	for l := events(); l.Conn != conns[2]; l = events() {
		if l.Missing == nil {
			t.Errorf("a reader is told of %s", l.raw)
		}
	}
	if got := lostCloses(t, app.since(0)); !slices.Equal(got, conns[1:2]) {
		t.Errorf("close events of %q", got)
	}
}
