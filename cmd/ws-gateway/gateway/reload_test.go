package gateway

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"ws-gateway/cmd/ws-gateway/config/configtest"
	"ws-gateway/cmd/ws-gateway/program"
	"ws-gateway/cmd/ws-gateway/settings"
	"ws-gateway/forward"
)

// ownOptions are those that this package reads from the configuration in force
// itself, at the end and for the log.
var ownOptions = []string{"drain-delay", "drain-period", "shutdown-timeout", "log-level"}

// sourceOptions only say where another option's value comes from: another file with
// the same content changes nothing.
var sourceOptions = []string{"manifest", "admin-token-file", "callback-secret-file", "callback-key"}

// staticFields are those fields of a package's Config that its Reload leaves alone,
// as the test of that package has it that shows that it takes over all others.
func staticFields(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	list := regexp.MustCompile(`(?s)static :?= \[\]string\{(.*?)\}`).FindSubmatch(text)
	if list == nil {
		t.Fatalf("%s has no list of what is static", file)
	}
	var names []string
	for _, quoted := range regexp.MustCompile(`"(\w+)"`).FindAllSubmatch(list[1], -1) {
		names = append(names, string(quoted[1]))
	}
	return names
}

// differing returns the fields in which two Configs of a package differ. Of
// functions only whether there is one can be said.
func differing(a, b any) (names []string) {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range x.NumField() {
		f := x.Type().Field(i)
		switch {
		case !f.IsExported() || f.Name == "Epoch" || f.Type == reflect.TypeFor[zerolog.Logger](): // anew each time
		case f.Type.Kind() == reflect.Func || f.Type.Kind() == reflect.Interface:
			if x.Field(i).IsNil() != y.Field(i).IsNil() {
				names = append(names, f.Name)
			}
		case !reflect.DeepEqual(x.Field(i).Interface(), y.Field(i).Interface()):
			names = append(names, f.Name)
		}
	}
	return names
}

// An option that is marked as reloaded changes something that a package takes over,
// and nothing that it does not; one that is not marked changes nothing in a running
// gateway.
func TestEveryOptionThatIsMarkedReachesWhatIsReloadedAndNoOtherDoes(t *testing.T) {
	static := map[string][]string{}
	for name, file := range map[string]string{
		"forward": "../../../forward/reload_test.go", "hub": "../../../hub/settings_test.go",
		"netpoll": "../../../netpoll/reload_test.go", "admin": "../../../admin/reload_test.go",
	} {
		static[name] = staticFields(t, file)
	}
	needed := map[string][]string{ // for an option to do something
		"max-pending-authorizations": {"WS_GATEWAY_CALLBACK_OPEN=authorize"},
		"callback-reply-max":         {"WS_GATEWAY_CALLBACK_REPLY=1"},
		"message-burst":              {"WS_GATEWAY_MESSAGE_RATE=1"},
		"byte-burst":                 {"WS_GATEWAY_BYTE_RATE=1"},
		"rate-policy":                {"WS_GATEWAY_MESSAGE_RATE=1"},
		"accept-burst":               {"WS_GATEWAY_ACCEPT_RATE=1"},
	}
	base := func(option string) []string {
		return append(configtest.Environment(t, option), "WS_GATEWAY_LISTEN=127.0.0.1:0")
	}
	for _, v := range configtest.MustParse(t, nil, "WS_GATEWAY_NO_CALLBACK=1").Values {
		if slices.Contains(ownOptions, v.Name) || slices.Contains(sourceOptions, v.Name) || v.Name == "no-callback" {
			continue // no-callback: see the tests of the real binary
		}
		env := slices.DeleteFunc(base(v.Name), func(s string) bool {
			return strings.HasPrefix(s, "WS_GATEWAY_NO_CALLBACK") || v.Name == "listen" && strings.HasPrefix(s, "WS_GATEWAY_LISTEN")
		})
		env = append(env, "WS_PORT=1", "WS_URL=/x", "WS_GATEWAY_SHUTDOWN_TIMEOUT=1h")
		env = append(env, needed[v.Name]...)
		var args []string
		other := configtest.ValuesFor(t, v).Text[0]
		before := configtest.MustParse(t, nil, env...)
		if i := slices.IndexFunc(before.Values, func(o settings.Value) bool { return o.Name == v.Name }); before.Values[i].Shown() == other {
			other = configtest.ValuesFor(t, v).Text[1]
		}
		configtest.Place(t, v, "flag", other, &args, &env)
		next := configtest.MustParse(t, args, env...)
		g := emptyGateway(new(program.Process), before, zerolog.Nop())
		g.events = new(forward.Forwarder)
		g.limits.Descriptors = 10_000
		reached := map[string][]string{}
		reached["forward"] = differing(g.forwardConfig(before), g.forwardConfig(next))
		reached["hub"] = differing(g.hubConfig(before), g.hubConfig(next))
		reached["netpoll"] = differing(g.netpollConfig(before), g.netpollConfig(next))
		reached["admin"] = differing(g.adminConfig(before), g.adminConfig(next))
		taken := 0
		for name, fields := range reached {
			for _, field := range fields {
				if isStatic := slices.Contains(static[name], field); !isStatic {
					taken++
				} else if v.Reloads() {
					t.Errorf("--%s is marked as reloaded, and %s.Config.%s is not", v.Name, name, field)
				}
			}
		}
		if v.Reloads() && taken == 0 {
			t.Errorf("--%s is marked as reloaded, and reaches nothing that is: %v", v.Name, reached)
		}
	}
	for _, name := range append(ownOptions, sourceOptions...) {
		all := configtest.MustParse(t, nil, "WS_GATEWAY_NO_CALLBACK=1").Values
		if i := slices.IndexFunc(all, func(v settings.Value) bool { return v.Name == name }); i < 0 || !all[i].Reloads() {
			t.Errorf("--%s is not marked as reloaded", name)
		}
	}
}
