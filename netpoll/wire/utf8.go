package wire

import "unicode/utf8"

// UTF8Checker checks UTF-8 that arrives in pieces. The zero value is the start of
// a text.
type UTF8Checker struct {
	carry [utf8.UTFMax - 1]byte // the start of a sequence whose rest is still to come
	n     uint8                 // bytes in carry
}

// Feed checks the next piece. It returns false as soon as what has arrived can
// no longer become valid UTF-8, whatever follows; the state is then spent.
func (s *UTF8Checker) Feed(p []byte) bool {
	if s.n > 0 {
		var ok bool
		if p, ok = s.complete(p); !ok {
			return false
		}
	}
	// FullRune takes what can no longer become valid for full, so that such a
	// tail stays in p and fails there.
	for i := len(p) - 1; i >= 0 && i > len(p)-utf8.UTFMax; i-- {
		if !utf8.RuneStart(p[i]) {
			continue
		}
		if !utf8.FullRune(p[i:]) {
			s.n = uint8(copy(s.carry[:], p[i:]))
			p = p[:i]
		}
		break
	}
	return utf8.Valid(p)
}

// complete takes from p what the carried sequence lacks and returns the rest.
func (s *UTF8Checker) complete(p []byte) (rest []byte, ok bool) {
	var seq [utf8.UTFMax]byte
	n := copy(seq[:], s.carry[:s.n])
	for i, c := range p {
		seq[n] = c
		n++
		if utf8.FullRune(seq[:n]) {
			s.n = 0
			return p[i+1:], utf8.Valid(seq[:n])
		}
	}
	s.n = uint8(copy(s.carry[:], seq[:n]))
	return nil, true
}

// Done reports whether the text may end here: no sequence is left incomplete.
func (s *UTF8Checker) Done() bool { return s.n == 0 }
