package command

import (
	"reflect"
	"testing"

	"ws-gateway/hub"
)

func TestParseMetaKeepsTheValuesOwnBytes(t *testing.T) {
	for body, want := range map[string]Meta{
		`{"conns":["x"],"meta":{"a":1.50}}`:                  {Whom{Targets: hub.Targets{Conns: []string{"x"}}}, `{"a":1.50}`},
		`{"meta":null,"users":["a"],"conn_id":""}`:           {Whom{Targets: hub.Targets{Users: []string{"a"}}}, `null`},
		`{"meta":1,"groups":["r"],"exclude":["x"],"meta":2}`: {Whom{Targets: hub.Targets{Groups: []string{"r"}, Exclude: []string{"x"}}}, `2`},
		`{"all":true,"scope":"local","meta": "t" }`:          {Whom{Targets: hub.Targets{All: true}, Local: true}, `"t"`},
	} {
		if cmd, err := ParseMeta([]byte(body), nil, 1<<20); err != nil || !reflect.DeepEqual(cmd, want) {
			t.Errorf("%s: %+v, %v; want %+v", body, cmd, err, want)
		}
	}
	for body, want := range map[string]string{
		`{"conns":["x"]}`:                      errMetaAbsent.Error(),
		`{"meta":1}`:                           errMetaNobody.Error(),
		`{"meta":1,"conn_id":"x"}`:             errConnID.Error(),
		`{"meta":1,"conn_id":1}`:               "conn_id must be a string",
		`{"meta":1,"all":true,"groups":["r"]}`: errBeside.Error(),
		`{"meta":}`:                            errNotJSON.Error(),
	} {
		if _, err := ParseMeta([]byte(body), nil, 1<<20); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", body, err, want)
		}
	}
}
