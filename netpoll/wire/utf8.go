package wire

import "unicode/utf8"

// UTF8Checker checks UTF-8 that arrives in pieces. The zero value is at the start of a
// text.
type UTF8Checker struct {
	carry [utf8.UTFMax - 1]byte // the start of a sequence whose rest is still to come
	n     uint8                 // bytes in carry
}

// Feed checks the next piece. It returns false as soon as the text cannot become valid
// UTF-8, whatever follows; the UTF8Checker is then of no more use.
func (s *UTF8Checker) Feed(p []byte) bool {
	if s.n > 0 {
		var ok bool
		if p, ok = s.complete(p); !ok {
			return false
		}
	}
	// FullRune returns true for a tail that cannot become valid, so that it stays in
	// p and fails below.
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

// complete completes the carried sequence with bytes of p and returns the rest.
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

// Done reports whether the text may end here: no sequence is incomplete.
func (s *UTF8Checker) Done() bool { return s.n == 0 }
