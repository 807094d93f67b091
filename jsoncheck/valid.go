package jsoncheck

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

// maxRecursion is the deepest nesting that gjson's validator, which calls itself for
// each level, is given.
const maxRecursion = 1000

// Valid reports whether data is one JSON text (RFC 8259) in UTF-8, nested at most
// 10,000 levels deep, so that whatever reads it later recurses no deeper. It never
// panics.
func Valid(data []byte) bool {
	if !utf8.Valid(data) {
		return false
	}
	if bytes.Count(data, []byte("["))+bytes.Count(data, []byte("{")) > maxRecursion && deeper(data, maxRecursion) {
		return json.Valid(data) // slower, but iterative and with the limit of 10,000
	}
	return gjson.ValidBytes(data)
}

// deeper reports whether brackets are nested more than limit deep anywhere in data. It
// is exact up to the first byte that is not JSON, and no validator reads past that.
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
