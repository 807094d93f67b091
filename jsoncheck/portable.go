package jsoncheck

import (
	"strconv"
	"unicode/utf8"
	"unsafe"
)

const (
	// MaxDepth is the deepest nesting that is portable. PHP rejects 513 levels, Python
	// about 1,000 (less with a deep stack), Go 10,001.
	MaxDepth = 500
	// MaxNumber is the length of the longest portable number, in characters. Python
	// rejects integers of 4,301 digits, Jackson numbers of 1,001 characters.
	MaxNumber = 300
	// MaxName is the length of the longest portable member name, in bytes. Jackson
	// rejects 50,001.
	MaxName = 32 << 10

	// The digits of an exponent, leading zeros not counted. A parser that computes it
	// in 32 bits overflows with more.
	maxExponent = 3
)

// Portable reports whether data is a JSON text (RFC 8259) in UTF-8 that every common
// parser accepts:
//
//   - It is nested at most depth levels deep; a scalar is at level 0. A depth above
//     MaxDepth means MaxDepth.
//   - Its escapes have no unpaired surrogates.
//   - Every number has at most MaxNumber characters and fits a 64-bit float.
//   - No member name is longer than MaxName or begins with U+0000, with which PHP
//     cannot name a property.
//
// A name may repeat within an object: parsers take the last one.
func Portable(data []byte, depth int) bool {
	s := scanner{data: data, max: min(depth, MaxDepth)}
	return utf8.Valid(data) && s.value() && s.blank() == len(data)
}

// scanner is a position in a text. A method that returns false has found that the text
// is not portable, or not JSON; it does not say where.
type scanner struct {
	data    []byte
	at      int
	depth   int
	max     int
	objects [(MaxDepth + 63) / 64]uint64 // which of the levels are objects, the others being arrays
}

// blank skips white space and returns where it ends.
func (s *scanner) blank() int {
	for s.at < len(s.data) && s.data[s.at] <= ' ' && white[s.data[s.at]] {
		s.at++
	}
	return s.at
}

var white = [256]bool{' ': true, '\t': true, '\n': true, '\r': true}

// next skips white space, then c; false if c is not there.
func (s *scanner) next(c byte) bool {
	if s.blank() == len(s.data) || s.data[s.at] != c {
		return false
	}
	s.at++
	return true
}

// value skips a value and everything in it.
func (s *scanner) value() bool {
	for {
		opened, ok := s.begin()
		if !ok {
			return false
		}
		if opened {
			continue
		}
		for { // after a value: the array or object that has it continues, or ends
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

// begin skips a scalar, an empty object or array, or the start of a non-empty one up to
// its first value. In the last case opened is true.
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

// name skips a member's name and its colon.
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

// digits skips digits and returns how many there were.
func (s *scanner) digits() int {
	start := s.at
	for s.at < len(s.data) && digit(s.data[s.at]) {
		s.at++
	}
	return s.at - start
}

// is skips c if it is there.
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

// exponent skips the exponent of the number that begins at start and has whole digits
// before its point.
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
		return true // too small a number is 0 for every parser
	}
	power := 0
	for _, c := range exponent {
		power = 10*power + int(c-'0')
	}
	const safe = 308 // 1e308 is the largest power of ten in a 64-bit float
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

// text skips the rest of a string after its opening quote.
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

// escape returns the length of the escape sequence at the start of b; a surrogate pair is
// one sequence. It returns 0 if there is none, or an unpaired surrogate.
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

// unicodeEscape returns the value of the \u escape at the start of b, or -1.
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
