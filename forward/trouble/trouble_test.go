package trouble

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// script plays an app for a while and returns what was told, each line as
// "<seconds> begins|goes on|over <kind>".
func script(length time.Duration, app func(at time.Duration, s *Sample)) (told []string) {
	const step = 100 * time.Millisecond
	m := Machine{Patience: 5 * time.Second}
	for at := time.Duration(0); at < length; at += step {
		s := Sample{Now: at}
		app(at, &s)
		r, tell := m.Look(&s)
		if !tell {
			continue
		}
		word := "goes on"
		switch {
		case r.Begins:
			word = "begins"
		case r.Unknown:
			word = "unknown"
		case r.Over:
			word = "over"
		}
		told = append(told, fmt.Sprintf("%.1f %s %s", at.Seconds(), word, [...]string{"", "unreachable", "silent", "failing", "refusing"}[r.Kind]))
	}
	return told
}

// every reports whether a tenth of a second is one of those that come so often.
func every(at, period time.Duration) bool { return at%period == 0 }

func TestWhatIsToldOfAnApp(t *testing.T) {
	const second, tenth = time.Second, time.Second / 10
	fail := func(s *Sample, label string, keys ...uint64) {
		for _, key := range keys {
			s.Failed.Add(label, key)
		}
	}
	for _, test := range []struct {
		name   string
		length time.Duration
		app    func(at time.Duration, s *Sample)
		want   string
	}{
		{"is well", 100 * second, func(_ time.Duration, s *Sample) { s.Delivered = 10 }, ""},
		{"is not used", 300 * second, func(time.Duration, *Sample) {}, ""},
		{"refuses connections for 25 s", 40 * second, func(at time.Duration, s *Sample) {
			if s.Down = at >= second && at < 26*second; s.Down {
				s.Waiting = 5
				return
			}
			s.Delivered = 1
		}, "1.0 begins unreachable|11.0 goes on unreachable|21.0 goes on unreachable|26.9 over unreachable"},
		{"answers 500 to everything", 25 * second, func(at time.Duration, s *Sample) { fail(s, "500", uint64(at)) },
			"0.2 begins failing|10.2 goes on failing|20.2 goes on failing"},
		{"answers 500 to its only event", 12 * second, func(at time.Duration, s *Sample) {
			if every(at, second) {
				fail(s, "500", 1)
			}
		}, "2.0 begins failing"},
		{"fails once and takes the next attempt", 30 * second, func(at time.Duration, s *Sample) {
			switch at {
			case second:
				fail(s, "503", 1)
			case 2 * second:
				s.Delivered = 1
			}
		}, ""},
		{"is back, takes one event at once, and has no more", 30 * second, func(at time.Duration, s *Sample) {
			switch {
			case at < second:
				fail(s, "500", uint64(at))
			case at == second+3*tenth:
				s.Delivered = 1
			}
		}, "0.2 begins failing|2.9 over failing"},
		{"takes one event in the middle of failures", 30 * second, func(at time.Duration, s *Sample) {
			switch {
			case at == second+3*tenth:
				s.Delivered = 1
			case at < 2*second:
				fail(s, "500", uint64(at))
			}
		}, "0.2 begins failing|10.2 goes on failing"},
		{"fails at half of the events", 15 * second, func(at time.Duration, s *Sample) {
			s.Delivered = 1
			fail(s, "500", uint64(at))
		}, "0.2 begins failing|10.2 goes on failing"},
		{"fails at a tenth of the events", 60 * second, func(at time.Duration, s *Sample) {
			s.Delivered = 9
			fail(s, "500", uint64(at))
		}, ""},
		{"fails at one connection's event alone", 100 * second, func(at time.Duration, s *Sample) {
			if every(at, second) {
				s.Delivered = 2
				fail(s, "500", 7, 7)
			}
		}, ""},
		{"hangs", 32 * second, func(at time.Duration, s *Sample) {
			if at < second {
				s.Delivered = 1
				return
			}
			if at < 26*second {
				s.InFlight, s.Waiting = 64, 64
				if every(at, 10*second) {
					fail(s, "timeout", 1, 2, 3)
				}
				return
			}
			s.Delivered = 1
		}, "5.9 begins silent|15.9 goes on silent|25.9 goes on silent|26.9 over failing"},
		{"is slow", 100 * second, func(at time.Duration, s *Sample) {
			s.InFlight = 3
			if every(at, 4*second) {
				s.Delivered = 1
			}
		}, ""},
		{"has taken thousands when it begins to answer 500 to everything", 42 * second, func(at time.Duration, s *Sample) {
			if at < 30*second || at > 40*second {
				s.Delivered = 100
			} else if every(at, 4*tenth) { // retries come seldom
				fail(s, "500", 1, 2)
			}
		}, "30.9 begins failing|40.9 goes on failing|41.0 over failing"},
		{"has taken thousands and takes no one's event but those of another", 60 * second, func(at time.Duration, s *Sample) {
			s.Delivered = 100
			if at >= 30*second {
				fail(s, "500", 1)
			}
		}, ""},
		{"has taken thousands and says nothing for two seconds, then refuses some", 60 * second, func(at time.Duration, s *Sample) {
			s.Delivered = 100
			if at > 30*second && at < 32*second {
				s.Delivered, s.InFlight = 0, 64
			}
			if at == 32*second-tenth {
				fail(s, "500", 1, 2, 3)
			}
		}, ""},
		{"fails one client's events while nobody else has any", 20 * second, func(at time.Duration, s *Sample) {
			if at < 15*second {
				s.Delivered = 100
			} else {
				fail(s, "500", 1)
			}
		}, ""},
		{"refuses every client", 12 * second, func(at time.Duration, s *Sample) {
			switch {
			case at < 3*second && every(at, tenth):
				s.Refused = 1
			case at == 5*second:
				s.Delivered = 1
			}
		}, "0.9 begins refusing|5.0 over refusing"},
		{"refuses some clients", 60 * second, func(at time.Duration, s *Sample) {
			s.Refused = 5
			if every(at, 5*second) {
				s.Delivered = 1
			}
		}, ""},
		{"is not asked any more while it fails", 100 * second, func(at time.Duration, s *Sample) {
			if at < second {
				fail(s, "500", uint64(at))
			}
		}, "0.2 begins failing|10.2 goes on failing|60.9 unknown failing"},
	} {
		if got := strings.Join(script(test.length, test.app), "|"); got != test.want {
			t.Errorf("the app %s: told\n%s, want\n%s", test.name, got, test.want)
		}
	}
}

func TestAnAppThatFlapsIsOneTrouble(t *testing.T) {
	for _, period := range []time.Duration{200 * time.Millisecond, time.Second, 3 * time.Second, 5 * time.Second, 15 * time.Second} {
		const minutes = 10
		told := script(minutes*time.Minute, func(at time.Duration, s *Sample) {
			if s.Down = at/period%2 == 0; !s.Down {
				s.Delivered = 3
			}
		})
		if len(told) > minutes*8 {
			t.Errorf("up and down every %v: %d lines in %d minutes", period, len(told), minutes)
		}
	}
}

// One that flaps is one trouble also where it takes so many in good times that its
// failures are few among them.
func TestAnAppThatFlapsUnderLoadIsTold(t *testing.T) {
	told := script(time.Minute, func(at time.Duration, s *Sample) {
		if at/(3*time.Second)%2 == 0 {
			s.Delivered = 100
		} else if every(at, 400*time.Millisecond) {
			s.Failed.Add("500", 1)
			s.Failed.Add("500", 2)
		}
	})
	if len(told) < 4 || len(told) > 10 || !strings.Contains(told[0], "begins failing") {
		t.Errorf("told %q", told)
	}
}

// A ticker is early or late by a little.
func TestReportsComeEveryTenSecondsThoughItIsLookedAtOnceASecond(t *testing.T) {
	m := Machine{Patience: 5 * time.Second}
	reports := 0
	for second := range 501 {
		s := Sample{Now: time.Duration(second)*time.Second + time.Duration(1000-second)*time.Microsecond, Down: true, Waiting: 1}
		if _, tell := m.Look(&s); tell {
			reports++
		}
	}
	if reports < 50 || reports > 51 {
		t.Errorf("%d reports in 500 s", reports)
	}
}

func TestFailuresThatAreOverDoNotBecomeTroubleByAge(t *testing.T) {
	m := Machine{Patience: 5 * time.Second}
	for at := time.Duration(0); at < time.Minute; at += time.Second {
		s := Sample{Now: at}
		switch {
		case at == 0:
			s.Delivered = 1
		case at < 6*time.Second:
			s.Failed.Add("400", 1)
		}
		if r, tell := m.Look(&s); tell {
			t.Errorf("after %v: %+v", at, r)
		}
	}
}

// It is trouble once what succeeded is long enough ago, and then no attempt need
// have failed just now if an event still waits for its next one.
func TestABeginningSaysWhatFailed(t *testing.T) {
	m := Machine{Patience: 5 * time.Second}
	for at := time.Duration(0); ; at += time.Second {
		s := Sample{Now: at, Waiting: 1}
		switch {
		case at == 0:
			s.Delivered = 1
		case at < 6*time.Second:
			s.Failed.Add("503", 1)
		case at > time.Minute:
			t.Fatal("it does not begin")
		}
		if r, tell := m.Look(&s); tell {
			if !r.Begins || r.Latest != "503" || len(r.Answers.Failed) > 0 {
				t.Errorf("%+v", r)
			}
			return
		}
	}
}

func TestAReportSumsUp(t *testing.T) {
	m := Machine{Patience: 5 * time.Second}
	for i := range uint64(3) {
		s := Sample{Now: time.Duration(i), GivenUp: 1, Waiting: 7}
		s.Failed.Add("500", i)
		s.Failed.Add("timeout", i)
		s.Failed.Add("500", i)
		m.Look(&s)
	}
	s := Sample{Now: 10*time.Second + 1, Delivered: 2, Waiting: 9, GivenUp: 4}
	s.Failed.Add("404", 1)
	r, tell := m.Look(&s)
	if !tell || r.Answers.Main() != "500" || r.Recently.Failed["500"] != 4 || r.Answers.Delivered != 2 || r.Answers.Failed["404"] != 1 || r.Waiting != 9 || r.For < 10*time.Second {
		t.Errorf("%v, %+v", tell, r)
	}
	if r.GivenUp < 4 {
		t.Errorf("given up %d", r.GivenUp)
	}
}

func TestLabelsAreBounded(t *testing.T) {
	var f Failures
	for i := range 1000 {
		f.Add(fmt.Sprint(i), 1)
	}
	var a Answers
	for range 3 {
		a.add(&Sample{Failed: f})
	}
	if len(f.By) > Labels+1 || f.sum() != 1000 || len(a.Failed) > Labels+1 || a.Failed[OtherLabel] < 900 {
		t.Errorf("%d and %d labels, %d failures", len(f.By), len(a.Failed), f.sum())
	}
}
