package forward

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

// maxRecursion is how deep a text may be nested for gjson, whose validator
// calls itself for each level, to be let loose on it.
const maxRecursion = 1000

// ValidJSON reports whether data is one JSON text (RFC 8259) in UTF-8, nested
// at most 10,000 levels deep, so that nothing which reads it later can be driven
// into a deep recursion. It never panics.
func ValidJSON(data []byte) bool {
	if !utf8.Valid(data) {
		return false
	}
	if bytes.Count(data, []byte("["))+bytes.Count(data, []byte("{")) > maxRecursion && deeper(data, maxRecursion) {
		return json.Valid(data) // slower, but iterative and with the limit of 10,000
	}
	return gjson.ValidBytes(data)
}

// deeper reports whether brackets are nested more than limit deep anywhere in
// data. Up to the first byte that is not JSON it is exact, and no validator
// reads further than that.
func deeper(data []byte, limit int) bool {
	depth := 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '[', '{':
			if depth++; depth > limit {
				return true
			}
		case ']', '}':
			depth--
		case '"':
			for i++; i < len(data) && data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
		}
	}
	return false
}
