package config_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"ws-gateway/cmd/ws-gateway/config/configtest"
	"ws-gateway/cmd/ws-gateway/settings"
)

func TestEveryOptionIsTakenFromTheHighestLevelThatHasIt(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"run", "demo"} {
		for _, v := range configtest.MustParse(t, []string{command}, "WS_GATEWAY_NO_CALLBACK=true").Values {
			s := configtest.ValuesFor(t, v)
			for i, level := range configtest.Levels {
				if command == "demo" && level != "flag" && level != "default" {
					continue // the table is the same; these show that the demo reads it
				}
				for high := range 2 { // both ways round, so that no default can pass for the value
					if level == "default" && high == 1 {
						continue
					}
					args, env := []string{command}, configtest.Environment(t, v.Name)
					configtest.Place(t, v, level, s.Text[high], &args, &env)
					for _, lower := range configtest.Levels[i+1:] {
						configtest.Place(t, v, lower, s.Text[1-high], &args, &env)
					}
					checkTaken(t, v, s, level, high, args, env)
				}
			}
		}
	}
}

func checkTaken(t *testing.T, v settings.Value, s configtest.TwoValues, level string, high int, args, env []string) {
	t.Helper()
	c := configtest.MustParse(t, args, env...)
	i := slices.IndexFunc(c.Values, func(got settings.Value) bool { return got.Name == v.Name })
	got, from := c.Values[i].Target.Interface(), c.From(v.Name)
	want, wantFrom := s.Want[high], map[string]settings.Source{
		"flag": "flag", "environment": settings.Source(settings.EnvName(v.Name)), "file": "gateway.yaml line 1", "default": "default",
	}[level]
	switch {
	case v.Name == "no-callback" && level == "default":
		want = false
	case v.Name == "listen" && level == "default" && c.Demo():
		want = "127.0.0.1" + v.Default
	case v.Name == "resume-for" && level == "default" && c.Demo():
		want = time.Minute
	case level == "default":
		want = defaultOf(v)
	}
	if v.Name == "callback-url" && level == "default" && !c.Demo() {
		wantFrom = "WS_PORT and WS_URL"
	}
	if !reflect.DeepEqual(got, want) || from != wantFrom {
		t.Errorf("%s from %s: got %v from %s, want %v from %s (%q, %q)", v.Name, level, got, from, want, wantFrom, args, env)
	}
}

// defaultOf reads the default of the table on its own account.
func defaultOf(v settings.Value) any {
	switch v.Target.Interface().(type) {
	case bool:
		return false
	case int:
		var n int
		fmt.Sscan(v.Default, &n)
		return n
	case settings.Size:
		n, _ := settings.ParseSize(v.Default)
		return n
	case time.Duration:
		d, _ := time.ParseDuration(v.Default)
		return d
	case []string:
		return []string(nil)
	}
	return v.Default
}
