package signals

import (
	"os"
	"syscall"
	"testing"
	"time"
)

func TestSignalsWithinASecondAreOneRequest(t *testing.T) {
	type arrival struct {
		after time.Duration // the beginning
		want  Intent
	}
	for name, arrivals := range map[string][]arrival{
		"one":                              {{0, Stop}},
		"two at once":                      {{0, Stop}, {0, Nothing}},
		"many within the second":           {{0, Stop}, {300 * time.Millisecond, Nothing}, {999 * time.Millisecond, Nothing}},
		"a second later":                   {{0, Stop}, {time.Second, StopNow}, {time.Second, StopNow}},
		"the second counts from the first": {{0, Stop}, {900 * time.Millisecond, Nothing}, {1100 * time.Millisecond, StopNow}},
		"a clock that was set back":        {{time.Hour, Stop}, {0, Nothing}},
	} {
		var j Judge
		for i, a := range arrivals {
			if got := j.Take(time.Unix(1e9, 0).Add(a.after)); got != a.want {
				t.Errorf("%s: signal %d is %d, want %d", name, i, got, a.want)
			}
		}
	}
}

func TestTheExitCodeNamesTheSignal(t *testing.T) {
	if got := [...]int{ExitCode(syscall.SIGTERM), ExitCode(os.Interrupt), ExitCode(syscall.SIGHUP)}; got != [...]int{143, 130, 129} {
		t.Errorf("got %v", got)
	}
}
