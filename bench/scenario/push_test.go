package scenario

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"ws-gateway/bench/load"
	"ws-gateway/bench/report"
)

func TestGroupsCoverTheConnectionsOnce(t *testing.T) {
	who := roster{"user-1000000": {"a"}, "user-1000001": {"b"}, "user-1000002": {"c"}, "user-1000003": {"d"}, "user-1000004": {"e"}}
	for to, want := range map[string]struct {
		groups int
		first  string
		last   load.Group
	}{
		"conn":  {5, `"conn_id":"a"`, load.Group{To: `"conn_id":"e"`, First: 4, Count: 1}},
		"user":  {2, `"users":["user-1000000"]`, load.Group{To: `"users":["user-1000001"]`, First: 2, Count: 2}},
		"users": {2, `"users":["user-1000000","user-1000001"]`, load.Group{To: `"users":["user-1000002","user-1000003"]`, First: 2, Count: 2}},
	} {
		p := push{to: to, conns: 5, per: 2}
		if to == "conn" {
			p.per = 1
		}
		groups, err := p.groups(who)
		if err != nil || len(groups) != want.groups || groups[0].To != want.first || groups[len(groups)-1] != want.last {
			t.Errorf("%s: got %v, %v", to, groups, err)
		}
	}
	if _, err := (push{to: "conn", conns: 6, per: 1}).groups(who); err == nil || !strings.Contains(err.Error(), "user-1000005 has 0") {
		t.Errorf("a connection that is not listed: %v", err)
	}
}

func TestTheListSaysWhoIsConnected(t *testing.T) {
	who, err := readList([]byte(`{"code":0,"message":"success","data":[{"name":"u","conns":[{"id":"a","userAgent":"x"},{"id":"b"}]},{"name":"v","conns":[]}]}`))
	if err != nil || len(who) != 1 || strings.Join(who["u"], " ") != "a b" {
		t.Errorf("got %v, %v", who, err)
	}
	for _, wrong := range []string{`{"code":403,"message":"no"}`, `nonsense`, ``} {
		if _, err := readList([]byte(wrong)); err == nil {
			t.Errorf("%q was taken", wrong)
		}
	}
}

func figure(o outcome, name string) report.Figure {
	for _, f := range o.figures {
		if f.Name == name {
			return f
		}
	}
	return report.Figure{}
}

// has holds figures against what they should be, to a thousandth: a histogram has
// three digits.
func has(t *testing.T, o outcome, figures map[string]float64) {
	t.Helper()
	for name, want := range figures {
		if got := figure(o, name); got.Name == "" || math.Abs(got.Value-want) > want/1000 {
			t.Errorf("%s: got %+v, want %v", name, got, want)
		}
	}
}

// recorded is a result of n messages that took so long.
func recorded(n uint64, latency time.Duration) load.Result {
	h := hdrhistogram.New(1000, int64(time.Minute), 3)
	_ = h.RecordValue(int64(latency))
	return load.Result{Messages: n, Elapsed: 2 * time.Second, Latency: h}
}

func TestPushFiguresAreForCallsAndForDeliveries(t *testing.T) {
	r := load.PushResult{Result: recorded(40_000, time.Millisecond), Calls: 4_000}
	r.Answer, r.Last = r.Latency, r.Latency
	p := push{to: "users", conns: 1_000, per: 10, load: Traffic{Size: 64}}
	s := stage{Env: &Env{}}
	p.figures(&s, r, cost{cpu: time.Second, switches: 400})
	has(t, s.outcome, map[string]float64{
		"calls": 2_000, "deliveries": 20_000, "gateway CPU, a million calls": 250, "gateway CPU, a million deliveries": 25,
		"gateway sleeps, a thousand calls": 100, "gateway busy, of one processor": 50,
	})
}
