// Package logtest collects a program's log for tests. It imports nothing of ours.
package logtest

import (
	"bytes"
	"encoding/json"
	"sync"
	"testing"
	"time"
)

// Patience bounds waits for what must happen, however busy the machine.
const Patience = 2 * time.Minute

// Log collects what a program writes, a line at a time.
type Log struct {
	mu    sync.Mutex
	text  bytes.Buffer
	lines chan string
}

// New returns an empty log.
func New() *Log { return &Log{lines: make(chan string, 1000)} }

func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	for line := range bytes.Lines(p) {
		select {
		case l.lines <- string(line):
		default:
		}
	}
	return len(p), nil
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Await returns the fields of the next line with this message.
func (l *Log) Await(t testing.TB, message string) map[string]any {
	t.Helper()
	for {
		select {
		case line := <-l.lines:
			var fields map[string]any
			if json.Unmarshal([]byte(line), &fields) == nil && fields["message"] == message {
				return fields
			}
		case <-time.After(Patience):
			t.Fatalf("no line %q in\n%s", message, l)
		}
	}
}
