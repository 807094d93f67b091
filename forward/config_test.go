package forward

import (
	"testing"
	"time"
)

func TestZeroValuesMeanTheDefaults(t *testing.T) {
	f, err := New(Config{URL: "http://127.0.0.1:1/"})
	if err != nil {
		t.Fatal(err)
	}
	c := f.cfg
	equal(t, "concurrency", c.Concurrency, 64)
	equal(t, "timeout", c.Timeout, 10*time.Second)
	equal(t, "retry for", c.RetryFor, time.Minute)
	equal(t, "queue events", c.QueueEvents, 256)
	equal(t, "queue bytes", c.QueueBytes, 1<<20)
	equal(t, "memory", c.Memory, 256<<20)
}

func TestWhatMakesNoSenseIsRefused(t *testing.T) {
	for name, c := range map[string]Config{
		"no URL":               {},
		"negative concurrency": {URL: "http://a/", Concurrency: -1},
		"too much of it":       {URL: "http://a/", Concurrency: 1 << 20},
		"negative timeout":     {URL: "http://a/", Timeout: -1},
		"negative retry time":  {URL: "http://a/", RetryFor: -1},
		"negative queue":       {URL: "http://a/", QueueEvents: -1},
		"negative bytes":       {URL: "http://a/", QueueBytes: -1},
		"negative lingering":   {URL: "http://a/", Linger: -1},
		"a folder for letters": {URL: "http://a/", DeadLetter: t.TempDir()},
		"negative memory":      {URL: "http://a/", Memory: -1},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
