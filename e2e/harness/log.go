package harness

import (
	"bufio"
	"encoding/json"
	"io"
	"strings"
	"time"
)

// Log collects the lines of a process's standard error.
type Log struct {
	Watched
	lines []Line
	ended bool
}

// Line is one line; Fields is nil if it is not a JSON object.
type Line struct {
	Raw    string
	Fields map[string]any
}

// Text is a field's value if it is a string.
func (l Line) Text(field string) string {
	s, _ := l.Fields[field].(string)
	return s
}

// Number is a field's value, or -1 if it is no number.
func (l Line) Number(field string) int {
	n, ok := l.Fields[field].(float64)
	if !ok {
		return -1
	}
	return int(n)
}

// Has reports whether the line contains all of parts.
func (l Line) Has(parts ...string) bool { return containsAll(l.Raw, parts) }

// Read takes the lines of r to its end.
func (b *Log) Read(r io.Reader) {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		line := Line{Raw: scanner.Text()}
		if json.Unmarshal(scanner.Bytes(), &line.Fields) != nil {
			line.Fields = nil
		}
		b.Mu.Lock()
		b.lines = append(b.lines, line)
		b.Changed()
		b.Mu.Unlock()
	}
	b.Mu.Lock()
	b.ended = true
	b.Changed()
	b.Mu.Unlock()
}

// Await returns the first line, past or future, that match likes. It gives up
// after timeout, or at once when the process has ended.
func (b *Log) Await(timeout time.Duration, match func(Line) bool) (found Line, ok bool) {
	seen := 0
	b.Watched.Await(timeout, func() bool {
		for ; seen < len(b.lines) && !ok; seen++ {
			if match(b.lines[seen]) {
				found, ok = b.lines[seen], true
			}
		}
		return ok || b.ended
	})
	return found, ok
}

// All returns the lines so far.
func (b *Log) All() []Line {
	b.Mu.Lock()
	defer b.Mu.Unlock()
	return append([]Line(nil), b.lines...)
}

// MatchingNow returns the lines so far that contain all of parts, in any case. A line that
// was caused a moment ago may not be among them yet.
func (b *Log) MatchingNow(parts ...string) []Line {
	b.Mu.Lock()
	defer b.Mu.Unlock()
	return b.matching(parts)
}

// AwaitMatching waits until there are n lines that contain all of parts, in any case, and
// returns all that there are then. It gives up after Patience, or at once when the process
// has ended.
func (b *Log) AwaitMatching(n int, parts ...string) (found []Line) {
	b.Watched.Await(Patience, func() bool {
		found = b.matching(parts)
		return len(found) >= n || b.ended
	})
	return found
}

func (b *Log) matching(parts []string) (found []Line) {
	for _, line := range b.lines {
		if containsAll(strings.ToLower(line.Raw), parts) {
			found = append(found, line)
		}
	}
	return found
}

func containsAll(s string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(s, part) {
			return false
		}
	}
	return true
}

// Tail returns the last n lines as text.
func (b *Log) Tail(n int) string {
	lines := b.All()
	var text strings.Builder
	for _, line := range lines[max(0, len(lines)-n):] {
		text.WriteString(line.Raw)
		text.WriteByte('\n')
	}
	return text.String()
}
