package meta

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"ws-gateway/jsoncheck"
)

// Value is metadata, as it goes into the body of an event. A nil *Value is none.
type Value struct{ member string }

// The beginning and the end of a Value's member.
const (
	opening = `,"meta":`
	closing = `}`
)

// JSON returns the value, byte for byte as it was given; "" for none.
func (v *Value) JSON() string {
	if v == nil {
		return ""
	}
	return v.member[len(opening) : len(v.member)-len(closing)]
}

// Member returns what takes the place of the last byte of an object that is to have the
// value as a further member, "meta".
func (v *Value) Member() string { return v.member }

// perValue is about what a connection takes besides the bytes of its value: a place in a
// map, which is at least half full, and the allocations' rounding.
const perValue = 128

// cost is the memory that a connection with this value takes, in bytes. If many have the
// same value it counts for each.
func (v *Value) cost() int64 {
	if v == nil {
		return 0
	}
	return int64(len(v.member)) + perValue
}

// What is wrong with a value.
var (
	ErrNotJSON  = errors.New("metadata must be JSON: an object, a string, a number …, and null for none")
	errPortable = errors.New("metadata must be JSON that every parser takes: not nested more deeply than --callback-json-depth allows, no number out of the range of a 64-bit float, no half of a surrogate pair")
)

// LimitError is returned for a value that is too long.
type LimitError struct{ Bytes, Limit int }

func (e *LimitError) Error() string {
	return fmt.Sprintf("metadata has %d bytes, and --max-meta allows %d", e.Bytes, e.Limit)
}

// Parse reads a value as it stands in a JSON text. White space around it counts for
// nothing, and null is none. The error is ErrNotJSON, a *LimitError, or says what the
// app's own parser might refuse.
func (s *Store) Parse(text string) (*Value, error) {
	text = strings.Trim(text, " \t\r\n")
	switch limit := s.limit; {
	case text == "null":
		return nil, nil
	case len(text) > limit: // before it is looked at, for it may be long
		return nil, &LimitError{len(text), limit}
	case !jsoncheck.Valid([]byte(text)):
		return nil, ErrNotJSON
	case !jsoncheck.Portable([]byte(text), int(s.depth.Load())):
		return nil, errPortable
	}
	return Recorded(text), nil
}

// Recorded is the value whose JSON an earlier process has recorded, nil if that is empty.
func Recorded(json string) *Value {
	if json == "" {
		return nil
	}
	return &Value{opening + json + closing}
}

// ParseField reads a value of a header field, where it is percent-encoded: a character
// that no header may have is written as its UTF-8 bytes, %C3%A4, and % itself as %25.
func (s *Store) ParseField(field string) (*Value, error) {
	text, err := url.PathUnescape(field)
	if err != nil {
		return nil, fmt.Errorf("metadata in a header is not percent-encoded: %w", err)
	}
	return s.Parse(text)
}
