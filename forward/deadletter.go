package forward

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// deadLetters is the file of events that failed for good: JSON lines, appended.
// They hold payloads and cookies, so that the file is made for its owner alone.
// A nil *deadLetters keeps nothing.
type deadLetters struct {
	log             zerolog.Logger
	written, errors atomic.Uint64

	mu      sync.Mutex // guards the following, and the order of lines
	file    *os.File
	line    []byte
	torn    bool // the last line is incomplete
	failing bool // the last write failed
}

func openDeadLetters(path string, log zerolog.Logger) (*deadLetters, error) {
	if path == "" {
		return nil, nil
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("dead-letter file: %w", err)
	}
	return &deadLetters{log: log, file: file}, nil
}

// write appends e and reports whether the file has it.
func (d *deadLetters) write(e *event, o Outcome, status int, at time.Time) bool {
	if d == nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.line = d.line[:0]
	if d.torn {
		d.line = append(d.line, '\n')
	}
	d.line = appendDeadLetter(d.line, e, o, status, at)
	n, err := d.file.Write(d.line)
	if cap(d.line) > 1<<maxClass {
		d.line = nil
	}
	if err != nil {
		d.torn = d.torn || n > 0
		d.errors.Add(1)
		if !d.failing {
			d.log.Error().Err(err).Msg("cannot write to the dead-letter file: failed callbacks are lost until this is mended")
		}
		d.failing = true
		return false
	}
	if d.failing {
		d.log.Info().Msg("the dead-letter file can be written to again")
	}
	d.torn, d.failing = false, false
	d.written.Add(1)
	return true
}

func (d *deadLetters) close() {
	if d == nil {
		return
	}
	if err := d.file.Close(); err != nil {
		d.log.Error().Err(err).Msg("closing the dead-letter file")
	}
}

func appendDeadLetter(dst []byte, e *event, o Outcome, status int, at time.Time) []byte {
	dst = append(dst, `{"time":"`...)
	dst = at.UTC().AppendFormat(dst, time.RFC3339Nano)
	dst = append(dst, `","request_id":`...)
	dst = appendQuoted(dst, e.requestID())
	dst = append(dst, `,"action":"`...)
	dst = append(dst, e.action.String()...)
	dst = append(dst, `","attempts":`...)
	dst = strconv.AppendInt(dst, int64(e.attempts), 10)
	if status != 0 {
		dst = append(dst, `,"status":`...)
		dst = strconv.AppendInt(dst, int64(status), 10)
	} else {
		dst = append(dst, `,"error":"`...)
		dst = append(dst, o.String()...)
		dst = append(dst, '"')
	}
	if e.cookie != "" {
		dst = append(dst, `,"cookie":`...)
		dst = appendQuoted(dst, e.cookie)
	}
	dst = append(dst, `,"event":`...)
	dst = appendOneLine(dst, e.bodyBytes())
	return append(dst, "}\n"...)
}

// appendOneLine appends a JSON text without its line breaks: where it has any,
// they are blanks between its tokens.
func appendOneLine(dst, text []byte) []byte {
	start := len(dst)
	dst = append(dst, text...)
	for i, c := range dst[start:] {
		if c == '\n' || c == '\r' {
			dst[start+i] = ' '
		}
	}
	return dst
}
