package terminal

import (
	"strings"
	"testing"
)

func TestTheProgressBarStaysBelowWhatScrollsBy(t *testing.T) {
	var out strings.Builder
	p := NewProgress(&out)
	p.show(" 10 %")
	if _, err := p.Write([]byte("a line\n")); err != nil {
		t.Fatal(err)
	}
	p.show("")
	if want := clearLine + " 10 %" + clearLine + "a line\n 10 %" + clearLine; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}
