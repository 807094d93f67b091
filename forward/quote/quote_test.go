package quote

import "testing"

func TestLenIsTheLengthOfWhatIsAppended(t *testing.T) {
	for c := range 256 {
		for _, s := range []string{string([]byte{byte(c)}), "é" + string([]byte{byte(c)}) + "x"} {
			if got, want := Len(s), len(Append(nil, s)); got != want {
				t.Errorf("%q: %d, want %d", s, got, want)
			}
		}
	}
}
