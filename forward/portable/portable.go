package portable

import (
	"strconv"
	"unicode/utf8"
	"unsafe"
)

const (
	// MaxDepth is the most levels of nesting that JSON takes for portable. PHP gives
	// up at 513, Python at about 1,000, less what its stack holds, Go at 10,001.
	MaxDepth = 500
	// MaxNumber is how long a number may be, in characters. Python gives up on
	// integers of 4,301 digits, Jackson on numbers of 1,001 characters.
	MaxNumber = 300
	// MaxName is how long the name of an object's member may be, in bytes. Jackson
	// gives up at 50,001.
	MaxName = 32 << 10

	// Of the exponent of a number, in digits besides zeros in front: a parser that
	// counts in 32 bits gives up above.
	maxExponent = 3
)

// JSON reports whether data is a JSON text (RFC 8259) in UTF-8 that every common
// parser takes:
//
//   - nested at most depth levels deep, a scalar being at none; depth is at most MaxDepth
//   - without half a surrogate pair among its escapes
//   - every number at most MaxNumber characters long, and a 64-bit float can hold it
//   - no name of a member longer than MaxName, or that begins with U+0000, which PHP
//     has no property for
//
// Names that come twice in an object are no reason: parsers take the last one.
func JSON(data []byte, depth int) bool {
	s := scanner{data: data, max: min(depth, MaxDepth)}
	return utf8.Valid(data) && s.value() && s.blank() == len(data)
}

// scanner is at a place in a text. A method that returns false has found that it is
// not portable, or not JSON; nothing is said about where.
type scanner struct {
	data    []byte
	at      int
	depth   int
	max     int
	objects [(MaxDepth + 63) / 64]uint64 // which of the levels are objects, the others being arrays
}

// blank passes white space and returns where it ends.
func (s *scanner) blank() int {
	for s.at < len(s.data) && s.data[s.at] <= ' ' && white[s.data[s.at]] {
		s.at++
	}
	return s.at
}

var white = [256]bool{' ': true, '\t': true, '\n': true, '\r': true}

// next passes white space and c.
func (s *scanner) next(c byte) bool {
	if s.blank() == len(s.data) || s.data[s.at] != c {
		return false
	}
	s.at++
	return true
}

// value passes a value and everything in it.
func (s *scanner) value() bool {
	for {
		opened, ok := s.begin()
		if !ok {
			return false
		}
		if opened {
			continue
		}
		for { // behind a value: what it is in goes on, or ends
			if s.depth == 0 {
				return true
			}
			if s.blank() == len(s.data) {
				return false
			}
			c := s.data[s.at]
			s.at++
			if c == ',' {
				if s.inObject() && !s.name() {
					return false
				}
				break
			}
			if c != s.closer() {
				return false
			}
			s.depth--
		}
	}
}

// begin passes a scalar, an empty object or array, or the beginning of one up to its
// first value: it has opened one then.
func (s *scanner) begin() (opened, ok bool) {
	if s.blank() == len(s.data) {
		return false, false
	}
	switch c := s.data[s.at]; c {
	case '"':
		s.at++
		return false, s.text()
	case '{':
		return s.open(true, '}')
	case '[':
		return s.open(false, ']')
	case 't':
		return false, s.word("true")
	case 'f':
		return false, s.word("false")
	case 'n':
		return false, s.word("null")
	default:
		return false, (c == '-' || digit(c)) && s.number()
	}
}

func (s *scanner) open(object bool, closer byte) (opened, ok bool) {
	s.at++
	if s.depth >= s.max {
		return false, false
	}
	if s.next(closer) {
		return false, true
	}
	level, bit := s.depth/64, uint64(1)<<(s.depth%64)
	s.depth++
	if !object {
		s.objects[level] &^= bit
		return true, true
	}
	s.objects[level] |= bit
	return true, s.name()
}

func (s *scanner) inObject() bool {
	level := s.depth - 1
	return s.objects[level/64]>>(level%64)&1 == 1
}

func (s *scanner) closer() byte {
	if s.inObject() {
		return '}'
	}
	return ']'
}

// name passes the name of an object's member and the colon.
func (s *scanner) name() bool {
	if !s.next('"') {
		return false
	}
	start := s.at
	if !s.text() || s.at-start > MaxName {
		return false
	}
	if name := s.data[start:s.at]; name[0] == '\\' && len(name) > 6 && string(name[:6]) == `\u0000` {
		return false
	}
	return s.next(':')
}

func (s *scanner) word(w string) bool {
	end := s.at + len(w)
	if end > len(s.data) || string(s.data[s.at:end]) != w {
		return false
	}
	s.at = end
	return true
}

func digit(c byte) bool { return c-'0' <= 9 }

// digits passes digits and returns how many.
func (s *scanner) digits() int {
	start := s.at
	for s.at < len(s.data) && digit(s.data[s.at]) {
		s.at++
	}
	return s.at - start
}

// is passes c if it is there.
func (s *scanner) is(c byte) bool {
	if s.at == len(s.data) || s.data[s.at] != c {
		return false
	}
	s.at++
	return true
}

func (s *scanner) number() bool {
	start := s.at
	s.is('-')
	first := s.at
	whole := s.digits()
	if whole == 0 || whole > 1 && s.data[first] == '0' {
		return false
	}
	if s.is('.') && s.digits() == 0 {
		return false
	}
	if s.at < len(s.data) && s.data[s.at]|0x20 == 'e' {
		s.at++
		return s.exponent(start, whole)
	}
	return s.at-start <= MaxNumber
}

// exponent passes that of the number that begins at start, with so many digits before
// its point.
func (s *scanner) exponent(start, whole int) bool {
	negative := s.is('-')
	if !negative {
		s.is('+')
	}
	first := s.at
	if s.digits() == 0 || s.at-start > MaxNumber {
		return false
	}
	exponent := s.data[first:s.at]
	for len(exponent) > 1 && exponent[0] == '0' {
		exponent = exponent[1:]
	}
	switch {
	case len(exponent) > maxExponent:
		return false
	case negative:
		return true // what is too small is 0 for everybody
	}
	power := 0
	for _, c := range exponent {
		power = 10*power + int(c-'0')
	}
	const safe = 308 // 1e308 is the largest power of ten that a 64-bit float holds
	if whole+power <= safe {
		return true
	}
	number := s.data[start:s.at]
	_, err := strconv.ParseFloat(unsafe.String(&number[0], len(number)), 64)
	return err == nil
}

// plain says which bytes stand for themselves in a string.
var plain = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= ' ' && c != '"' && c != '\\'
	}
	return t
}()

// text passes the rest of a string, of which the opening quote has been passed.
func (s *scanner) text() bool {
	data, i := s.data, s.at
	for {
		for i < len(data) && plain[data[i]] {
			i++
		}
		if i == len(data) {
			return false
		}
		switch data[i] {
		case '"':
			s.at = i + 1
			return true
		case '\\':
			n := escape(data[i:])
			if n == 0 {
				return false
			}
			i += n
		default: // a control character
			return false
		}
	}
}

// escape is the length of the escape sequence that b begins with, a surrogate pair
// being one; 0 where it is none, or half of such a pair.
func escape(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
	default:
		return 0
	}
	const unit = len(`\u0000`)
	switch r := unicodeEscape(b); {
	case r < 0 || r >= 0xdc00 && r <= 0xdfff:
		return 0
	case r < 0xd800 || r > 0xdbff:
		return unit
	}
	if low := unicodeEscape(b[unit:]); low < 0xdc00 || low > 0xdfff {
		return 0
	}
	return 2 * unit
}

// unicodeEscape is the value of the \u escape that b begins with; -1 if it does not.
func unicodeEscape(b []byte) int {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return -1
	}
	r := 0
	for _, c := range b[2:6] {
		switch {
		case digit(c):
			r = r<<4 | int(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | int(c|0x20-'a'+10)
		default:
			return -1
		}
	}
	return r
}
