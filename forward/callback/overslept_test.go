package callback

import (
	"net"
	"testing"
	"time"
)

func TestAnAnswerIsAwaitedForAsLongAsTheProcessRuns(t *testing.T) {
	ours, apps := net.Pipe()
	defer ours.Close()
	defer apps.Close()
	c := &Client{conn: ours}
	r := &patientReader{c, ours}
	read := func() (string, error) {
		b := make([]byte, 10)
		n, err := r.Read(b)
		return string(b[:n]), err
	}

	// The wall's clock alone: over is over.
	if err := c.SetDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if got, err := read(); !IsTimeout(err) {
		t.Errorf("without a clock: %q, %v", got, err)
	}

	// The process has slept: by its clock no time has passed.
	asleep := make(chan struct{}, 100)
	c.Clock = func() time.Duration {
		select {
		case asleep <- struct{}{}:
		default:
		}
		return 0
	}
	if err := c.SetDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	go func() {
		for range 3 { // at limit, and after the deadline has passed twice
			<-asleep
		}
		apps.Write([]byte("answer"))
	}()
	if got, err := read(); got != "answer" || err != nil {
		t.Errorf("after a sleep: %q, %v", got, err)
	}

	// It has run, and nothing has come.
	began := time.Now()
	c.Clock = func() time.Duration { return time.Since(began) }
	if err := c.SetDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if got, err := read(); !IsTimeout(err) {
		t.Errorf("after a time awake: %q, %v", got, err)
	}

	// Whoever is told to stop stops, asleep or not.
	c.Clock = func() time.Duration { return 0 }
	if err := c.SetDeadline(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	go c.Interrupt()
	if got, err := read(); !IsTimeout(err) {
		t.Errorf("interrupted: %q, %v", got, err)
	}
}

// What has come in the meantime is read even if the time is over by any clock.
func TestWhatHasComeIsReadAlthoughTheTimeIsOver(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ours, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	apps, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer apps.Close()
	c := &Client{conn: ours, Clock: func() time.Duration { return time.Hour }}
	c.unasked.of(ours, false)
	if _, err := apps.Write([]byte("answer")); err != nil {
		t.Fatal(err)
	}
	for !c.unasked.has() { // it is on its way through the kernel
	}
	if err := c.SetDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 10)
	n, err := (&patientReader{c, ours}).Read(b)
	if string(b[:n]) != "answer" || err != nil {
		t.Errorf("%q, %v", b[:n], err)
	}
	if err := ours.SetDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if n, err := (&patientReader{c, ours}).Read(b); !IsTimeout(err) {
		t.Errorf("a second time: %q, %v", b[:n], err)
	}
}
