package settings

import "testing"

func TestOnlyWhatIsCloseIsProposed(t *testing.T) {
	flags := []string{"--loops", "--ping-timeout", "--listen"}
	variables := []string{"WS_GATEWAY_LOOPS", "WS_GATEWAY_LISTEN"}
	for _, test := range []struct {
		name  string
		known []string
		want  string
	}{
		{"--loop", flags, ", did you mean --loops?"},
		{"--pnig-timeout", flags, ", did you mean --ping-timeout?"},
		{"--nope", flags, ""}, // two dashes are no likeness
		{"WS_GATEWAY_LISTN", variables, ", did you mean WS_GATEWAY_LISTEN?"},
		{"WS_GATEWAY_ABC", variables, ""},
		{"lst", []string{"list", "send"}, ", did you mean list?"},
	} {
		if got := DidYouMean(test.name, test.known); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}
