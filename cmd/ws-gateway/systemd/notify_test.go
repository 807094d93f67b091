package systemd

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// told is a supervisor whose notifications are kept.
func told(log *bytes.Buffer) (s *Notifier, said *[]string) {
	said = new([]string)
	s = &Notifier{log: zerolog.New(log), watchdog: 30 * time.Second}
	s.tell = func(state string) error {
		*said = append(*said, state)
		return nil
	}
	return s, said
}

func TestALoopThatDoesNotTurnStopsTheWatchdogsPings(t *testing.T) {
	var log bytes.Buffer
	s, said := told(&log)
	turns := []uint64{5, 5}
	p := pulse{turns: func() []uint64 { return slices.Clone(turns) }}
	look := func(first, second uint64) (pings int) {
		turns = []uint64{first, second}
		*said = nil
		s.look(&p, func() string { return "fine" })
		return len(*said)
	}
	if look(5, 5) != 1 || (*said)[0] != "WATCHDOG=1\nSTATUS=fine" {
		t.Errorf("the first look says %q", *said)
	}
	if look(6, 9) != 1 {
		t.Error("no ping, though both loops have turned")
	}
	if look(7, 9) != 0 || !strings.Contains(log.String(), `"loops":[1]`) {
		t.Errorf("a ping, though loop 1 has not turned; the log says %s", &log)
	}
	if look(7, 10) != 0 {
		t.Error("a ping, though loop 0 has not turned")
	}
	if look(8, 11) != 1 {
		t.Error("no ping, though both loops turn again")
	}
	s.Stopping(time.Second)
	if look(8, 11) != 1 {
		t.Error("no ping at the end, when loops have ended before the rest")
	}
}

func TestAReloadBeforeItIsReadyOrAtTheEndIsNotTold(t *testing.T) {
	var log bytes.Buffer
	s, said := told(&log)
	reload := func(want ...string) {
		t.Helper()
		*said = nil
		s.Reloading()
		s.Reloaded("fine")
		if len(*said) != len(want) {
			t.Fatalf("it says %q", *said)
		}
		for i, prefix := range want {
			if !strings.HasPrefix((*said)[i], prefix) {
				t.Errorf("it says %q", *said)
			}
		}
	}
	reload()
	s.Ready("fine")
	reload("RELOADING=1\nMONOTONIC_USEC=", "READY=1\nSTATUS=fine")
	s.Stopping(time.Second)
	reload()
}

func TestWithoutAWatchdogNobodyLooks(t *testing.T) {
	var log bytes.Buffer
	s, said := told(&log)
	s.watchdog = 0
	s.KeepWatchdog(t.Context(), func() []uint64 { panic("BUG") }, nil) // returns at once
	if len(*said) != 0 {
		t.Errorf("it says %q", *said)
	}
}

func TestTimeIsAskedForWhereStartOrStopTakeLong(t *testing.T) {
	var log bytes.Buffer
	s, said := told(&log)
	s.Recovering(70 * time.Second)
	s.Stopping(30 * time.Second)
	want := []string{
		"STATUS=sending the close events of the last run\nEXTEND_TIMEOUT_USEC=80000000",
		"STOPPING=1\nSTATUS=closing connections\nEXTEND_TIMEOUT_USEC=35000000",
	}
	if !slices.Equal(*said, want) {
		t.Errorf("it says %q", *said)
	}
	s.tell = func(string) error { return errors.New("no such socket") }
	s.Ready("fine")
	if !strings.Contains(log.String(), "no such socket") {
		t.Errorf("the log does not say that it was not heard: %s", &log)
	}
}
