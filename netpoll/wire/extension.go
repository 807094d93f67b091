package wire

// DeflateParams is what client and server agreed on about permessage-deflate (RFC
// 7692). The zero value is a connection without it.
//
// We never agree on context takeover, in either direction: each message is
// compressed by itself, so that an idle connection keeps no window.
type DeflateParams struct {
	WindowBits uint8 // of what we send: it refers back at most 1<<WindowBits bytes; 0: no compression
}

// agreed reports whether messages may be compressed.
func (p DeflateParams) Agreed() bool { return p.WindowBits != 0 }

const (
	minWindowBits = 8
	MaxWindowBits = 15
)

// NegotiateDeflate accepts the first offer of permessage-deflate that it can, in the
// order of the client's preference. Response is the value of Sec-WebSocket-Extensions
// in the 101; "" if it accepts none, which is no error. It returns an error if a
// field breaks the grammar.
//
// RFC 7692, 7.1.1.1 and 7.1.1.2: a server may answer with both
// no_context_takeover parameters whether they were offered or not. It never needs
// to answer client_max_window_bits (7.1.2.2), since it can decompress messages from
// a window of any size.
func NegotiateDeflate(r *Request) (p DeflateParams, response string, err *HandshakeError) {
	for i := range r.Fields {
		if !r.Fields[i].Is("Sec-WebSocket-Extensions") {
			continue
		}
		s := extensionScanner{r.Fields[i].Value}
		for s.skipCommas(); len(s.rest) > 0; s.skipCommas() {
			offer, ok := s.extension()
			if !ok {
				return DeflateParams{}, "", errExtensions
			}
			if !p.Agreed() && !offer.declined {
				p.WindowBits, response = offer.accept()
			}
		}
	}
	return p, response, nil
}

// errExtensions: RFC 6455, 9.1: a server that receives a value that does not
// conform to the grammar MUST fail the connection.
var errExtensions = badRequest("Sec-WebSocket-Extensions is not a list of extensions")

// deflateOffer is one element of the client's list.
type deflateOffer struct {
	declined   bool // it is another extension, or RFC 7692, 7.1, demands it
	given      [deflateParamCount]bool
	windowBits uint8 // server_max_window_bits, if given
}

const (
	serverNoContextTakeover = iota
	clientNoContextTakeover
	serverMaxWindowBits
	clientMaxWindowBits
	deflateParamCount
)

// deflateParamNames are compared with regard to case: no client is known that writes
// them otherwise, and RFC 7692 does not say that they may.
var deflateParamNames = [deflateParamCount]string{
	"server_no_context_takeover", "client_no_context_takeover", "server_max_window_bits", "client_max_window_bits",
}

// param takes a parameter into account. RFC 7692, 7.1: a server MUST decline an
// offer with a parameter that is not defined for offers, has an invalid value, or
// is there more than once.
func (o *deflateOffer) param(name, value []byte, valued bool) {
	for i, known := range deflateParamNames {
		if string(name) == known {
			o.declined = o.declined || o.given[i] || !o.value(i, value, valued)
			o.given[i] = true
			return
		}
	}
	o.declined = true
}

// value checks the value of a parameter.
func (o *deflateOffer) value(param int, value []byte, valued bool) bool {
	switch param {
	case serverMaxWindowBits: // 7.1.2.1: MUST have a value
		var ok bool
		o.windowBits, ok = parseWindowBits(value)
		return valued && ok
	case clientMaxWindowBits: // 7.1.2.2: may have one
		_, ok := parseWindowBits(value)
		return !valued || ok
	default: // 7.1.1: has none
		return !valued
	}
}

// parseWindowBits: RFC 7692, 7.1.2: a decimal integer value without leading
// zeros between 8 to 15.
func parseWindowBits(value []byte) (bits uint8, ok bool) {
	switch {
	case len(value) == 1 && value[0] >= '8' && value[0] <= '9':
		return value[0] - '0', true
	case len(value) == 2 && value[0] == '1' && value[1] >= '0' && value[1] <= '5':
		return 10 + value[1] - '0', true
	}
	return 0, false
}

// accept returns the window of what we send, and the response.
func (o *deflateOffer) accept() (windowBits uint8, response string) {
	if o.given[serverMaxWindowBits] {
		return o.windowBits, deflateResponses[o.windowBits]
	}
	return MaxWindowBits, deflateResponse
}

const deflateResponse = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

// deflateResponses are the responses to offers with server_max_window_bits.
var deflateResponses = [MaxWindowBits + 1]string{
	8:  deflateResponse + "; server_max_window_bits=8",
	9:  deflateResponse + "; server_max_window_bits=9",
	10: deflateResponse + "; server_max_window_bits=10",
	11: deflateResponse + "; server_max_window_bits=11",
	12: deflateResponse + "; server_max_window_bits=12",
	13: deflateResponse + "; server_max_window_bits=13",
	14: deflateResponse + "; server_max_window_bits=14",
	15: deflateResponse + "; server_max_window_bits=15",
}

// extensionScanner scans the value of a Sec-WebSocket-Extensions field (RFC 6455,
// 9.1). Its grammar is in the terms of RFC 2616: blanks may stand between any two
// elements, and elements of a list may be empty.
type extensionScanner struct {
	rest []byte
}

// skipCommas skips to the next element of the list.
func (s *extensionScanner) skipCommas() {
	for s.skipBlanks(); s.take(','); {
	}
}

// extension scans extension-token *( ";" extension-param ), up to a comma or the end.
// ok is false if there is something else.
func (s *extensionScanner) extension() (o deflateOffer, ok bool) {
	name := s.token()
	o.declined = string(name) != "permessage-deflate"
	ok = len(name) > 0
	for ok && s.take(';') {
		var param, value []byte
		param = s.token()
		ok = len(param) > 0
		valued := s.take('=')
		if valued {
			value = s.value()
			ok = ok && len(value) > 0
		}
		o.param(param, value, valued)
	}
	return o, ok && (len(s.rest) == 0 || s.rest[0] == ',')
}

// value scans ( token | quoted-string ); the value of the latter, after
// unescaping, must be a token too. It returns nothing if there is neither.
func (s *extensionScanner) value() []byte {
	if len(s.rest) == 0 || s.rest[0] != '"' {
		return s.token()
	}
	var value []byte // allocates, but quoted values are rare, and short
	for i := 1; i < len(s.rest); i++ {
		c := s.rest[i]
		if c == '"' {
			s.rest = s.rest[i+1:]
			s.skipBlanks()
			return value
		}
		if c == '\\' && i+1 < len(s.rest) {
			i++
			c = s.rest[i]
		}
		if !tokenByte.has(c) {
			return nil
		}
		value = append(value, c)
	}
	return nil
}

// token scans a token and the blanks behind it.
func (s *extensionScanner) token() []byte {
	n := tokenByte.firstNotIn(s.rest)
	if n < 0 {
		n = len(s.rest)
	}
	token := s.rest[:n]
	s.rest = s.rest[n:]
	s.skipBlanks()
	return token
}

// take scans c, if it is there, and the blanks behind it.
func (s *extensionScanner) take(c byte) bool {
	if len(s.rest) == 0 || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	s.skipBlanks()
	return true
}

func (s *extensionScanner) skipBlanks() {
	for len(s.rest) > 0 && isBlank(s.rest[0]) {
		s.rest = s.rest[1:]
	}
}
