package report

import (
	"bytes"
	"testing"
)

func TestWhatIsBrokenIsSaidWithItsRound(t *testing.T) {
	var out bytes.Buffer
	if err := WriteBroken(&out, []Round{{Round: 1}, {Round: 2, Broken: []string{"one reply was lost", "another too"}}}); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "  BROKEN: one reply was lost (round 2)\n  BROKEN: another too (round 2)\n\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	out.Reset()
	if err := WriteBroken(&out, []Round{{Round: 1}}); err != nil || out.Len() > 0 {
		t.Errorf("nothing is broken, and it says %q (%v)", &out, err)
	}
}
