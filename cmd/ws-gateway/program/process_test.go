package program

import (
	"errors"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

func TestEachLineOfAComplaintNamesTheProgramAndIsSafeToPrint(t *testing.T) {
	var out strings.Builder
	p := Process{Stderr: &out}
	p.Complain(errors.Join(errors.New("one"), errors.New("two\x1b[31m")))
	p.Complain(nil)
	if want := "ws-gateway: one\nws-gateway: two\\x1b[31m\n"; out.String() != want {
		t.Errorf("%q, want %q", &out, want)
	}
}

func TestTheLevelOfALogCanBeChanged(t *testing.T) {
	var out strings.Builder
	level := NewLevel("warn")
	log := level.Of(NewLogger(&out, "trace", "auto"))
	say := func() (logged string) {
		out.Reset()
		for _, at := range []zerolog.Level{zerolog.DebugLevel, zerolog.InfoLevel, zerolog.WarnLevel} {
			log.WithLevel(at).Msg("")
			if strings.Contains(out.String(), `"level":"`+at.String()+`"`) {
				logged += " " + at.String()
			}
		}
		return logged
	}
	for _, step := range []struct {
		change func()
		want   string
	}{
		{func() {}, " warn"},
		{func() { level.Loosen("error") }, " warn"},
		{func() { level.Loosen("debug") }, " debug info warn"},
		{func() { level.Set("info") }, " info warn"},
		{func() { (*Level)(nil).Set("debug") }, " info warn"},
	} {
		step.change()
		if got := say(); got != step.want {
			t.Errorf("logged are%s, want%s", got, step.want)
		}
	}
}

func TestAQueuedLogLosesNothingWhileItIsRead(t *testing.T) {
	var out strings.Builder
	p := Process{Stderr: &out}
	end := p.QueueLog("info", "json")
	if _, err := p.Stderr.Write([]byte("a line\n")); err != nil {
		t.Fatal(err)
	}
	p.FlushLog()
	end()
	if out.String() != "a line\n" || p.LogLost() != 0 {
		t.Errorf("%q, %d lost", &out, p.LogLost())
	}
}
