package callback

import (
	"testing"
	"time"
)

func TestRetryAfterIsSecondsOrADate(t *testing.T) {
	now := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "7": 7 * time.Second, "4294967295": 24 * time.Hour, "99999999999999999999": 0,
		"-1": 0, "1.5": 0, "soon": 0, "Thu, 29 Feb 2024 12:00:30 GMT": 30 * time.Second,
		"Thu, 29 Feb 2024 11:00:00 GMT": 0, "Thu, 29 Feb 2028 12:00:00 GMT": 24 * time.Hour,
	} {
		if got := parseRetryAfter([]byte(value), now); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}
