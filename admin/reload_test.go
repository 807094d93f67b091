package admin

import (
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// reload puts another token, and whatever change says, into force.
func (r *rig) reload(token string, change ...func(*Config)) error {
	cfg := r.admin.cfg
	cfg.Token = token
	for _, f := range change {
		f(&cfg)
	}
	apply, err := r.admin.Reload(cfg)
	if err == nil {
		apply()
	}
	return err
}

func TestEveryFieldOfTheConfigurationIsReloadedOrSaidToBeStatic(t *testing.T) {
	reloaded := map[string]any{"Token": "a-token", "UserHeader": "X-Who", "MaxBodyBytes": 7, "Memory": int64(7), "JSONDepth": 7, "Profiles": true}
	static := []string{
		"Hub", "Cluster", "ClusterStats", "Instances", "Sockets", "Callbacks", "Health", "Configuration", "LastReload", "LogLost", "Collectors", "Ready", "ClientPath", "OwnAddress", "Version", "Clock", "Log",
	}
	r := newRig(t)
	fields := reflect.TypeFor[Config]()
	for i := range fields.NumField() {
		field := fields.Field(i)
		value, ok := reloaded[field.Name]
		switch {
		case !field.IsExported():
			continue
		case ok == slices.Contains(static, field.Name):
			t.Errorf("%s: is it reloaded?", field.Name)
			continue
		case !ok:
			continue
		}
		shown := func() any {
			return []any{*r.admin.settings.Load(), r.admin.memory.stats().Limit, r.do("GET", "/tapr/ws/conn/count", "", "X-Who: alice").status}
		}
		before := shown()
		if err := r.reload("", func(cfg *Config) { reflect.ValueOf(cfg).Elem().Field(i).Set(reflect.ValueOf(value)) }); err != nil {
			t.Fatalf("%s: %v", field.Name, err)
		}
		if reflect.DeepEqual(before, shown()) {
			t.Errorf("%s: nothing has changed", field.Name)
		}
		if err := r.reload(""); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAReloadThatIsWrongChangesNothing(t *testing.T) {
	r := newRig(t, func(cfg *Config) { cfg.Token = "a-token" })
	before := r.admin.settings.Load()
	for what, change := range map[string]func(*Config){
		"a token":      func(cfg *Config) { cfg.Token = "two words" },
		"a limit":      func(cfg *Config) { cfg.MaxBodyBytes = -1 },
		"its own path": func(cfg *Config) { cfg.ClientPath = "/metrics" },
	} {
		if err := r.reload("another", change); err == nil {
			t.Errorf("%s that cannot be is taken", what)
		}
	}
	if r.admin.settings.Load() != before {
		t.Error("something has changed")
	}
}

func TestStreamsEndWithTheTokenThatTheyWereOpenedUnder(t *testing.T) {
	r := newRig(t)
	ended := func(s *stream) {
		t.Helper()
		for s.lines.Scan() {
		}
		if err := s.lines.Err(); err != nil {
			t.Errorf("it breaks off: %v", err)
		}
	}
	open := r.follow("")
	if err := r.reload("", func(cfg *Config) { cfg.MaxBodyBytes = 1 << 20 }); err != nil {
		t.Fatal(err)
	}
	r.dial("alice", "")
	if l := open.next(); l.Action != "open" {
		t.Errorf("after a reload of something else it goes on with %+v", l)
	}
	if err := r.reload("first-token"); err != nil {
		t.Fatal(err)
	}
	ended(open)
	r.http.Transport = withToken{r.http.Transport, "first-token"}
	open = r.follow("")
	if err := r.reload("second-token"); err != nil {
		t.Fatal(err)
	}
	ended(open)
	answer, err := r.http.Get("http://" + r.addr + "/tapr/ws/conn/events")
	if err != nil || answer.StatusCode != http.StatusUnauthorized {
		t.Fatalf("%v, %v", answer, err)
	}
	answer.Body.Close()
}

// withToken presents an admin token with every request.
type withToken struct {
	http.RoundTripper
	token string
}

func (w withToken) RoundTrip(q *http.Request) (*http.Response, error) {
	q.Header.Set("Authorization", "Bearer "+w.token)
	return w.RoundTripper.RoundTrip(q)
}

func TestTheLimitOfBodiesAndTheProfilesFollowAReload(t *testing.T) {
	r := newRig(t, func(cfg *Config) { cfg.MaxBodyBytes = 100 })
	send := func(size int) int {
		t.Helper()
		body := `{"users":["nobody"],"payload":"` + strings.Repeat("x", size) + `"}`
		answer, err := r.http.Post("http://"+r.addr+"/tapr/ws/conn/send", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	profile := func() int {
		t.Helper()
		u := url.URL{Scheme: "http", Host: r.addr, Path: "/debug/pprof/goroutine"}
		answer, err := r.http.Get(u.String())
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	if got := []int{send(200), profile()}; !slices.Equal(got, []int{413, 404}) {
		t.Fatalf("%v", got)
	}
	if err := r.reload("", func(cfg *Config) { cfg.MaxBodyBytes, cfg.Profiles = 1<<20, true }); err != nil {
		t.Fatal(err)
	}
	if got := []int{send(200), send(500_000), profile()}; !slices.Equal(got, []int{200, 200, 200}) {
		t.Errorf("%v", got)
	}
	if err := r.reload("", func(cfg *Config) { cfg.MaxBodyBytes, cfg.Profiles = 100, false }); err != nil {
		t.Fatal(err)
	}
	if got := []int{send(200), profile()}; !slices.Equal(got, []int{413, 404}) {
		t.Errorf("%v", got)
	}
}

func TestAnotherTokenTakesThePlaceOfTheOneInForce(t *testing.T) {
	r := newRig(t)
	asks := func(token string) int {
		return r.do("GET", "/tapr/ws/conn/count", "", "Authorization: Bearer "+token).status
	}
	if r.admin.HasToken() || asks("any") != 200 {
		t.Fatal("there is a token from the start")
	}
	for _, token := range []string{"first", "second"} {
		if err := r.reload(token); err != nil || !r.admin.HasToken() {
			t.Fatal(err)
		}
		if asks(token) != 200 || asks("any") != 401 {
			t.Errorf("%s is not in force", token)
		}
	}
	if err := r.reload("two words"); err == nil || asks("second") != 200 {
		t.Errorf("a token that cannot be has changed something: %v", err)
	}
	if err := r.reload(""); err != nil || r.admin.HasToken() || asks("any") != 200 {
		t.Errorf("the token is still asked for: %v", err)
	}
}
