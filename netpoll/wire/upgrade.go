package wire

import (
	"encoding/base64"
	"io"
	"net/http"

	"github.com/gobwas/ws"
)

// CheckUpgrade checks that a request, which ParseHead has parsed, is a valid opening
// handshake (RFC 6455, 4.2.1).
func CheckUpgrade(r *Request) *HandshakeError {
	if string(r.Method) != http.MethodGet {
		return &HandshakeError{
			Status: http.StatusMethodNotAllowed,
			Text:   "this path takes WebSocket handshakes, which are GET requests",
			Header: []string{"Allow", http.MethodGet},
		}
	}
	if !r.hasElement("Upgrade", "websocket") {
		return &HandshakeError{
			Status: http.StatusUpgradeRequired,
			Text:   "this path speaks WebSocket: Upgrade: websocket is missing (a proxy in front must pass it on)",
			Header: []string{"Upgrade", "websocket", "Sec-WebSocket-Version", "13"},
		}
	}
	if r.Minor == 0 {
		return badRequest("a WebSocket handshake needs HTTP/1.1, not HTTP/1.0 (does a proxy in front speak it?)")
	}
	if !r.hasElement("Connection", "upgrade") {
		return badRequest("Connection: Upgrade is missing (a proxy in front must pass it on)")
	}
	for _, check := range [...]func(*Request) *HandshakeError{
		checkWebSocketVersion, checkKey, checkNoBody, checkOrigin, checkSubprotocols,
	} {
		if err := check(r); err != nil {
			return err
		}
	}
	return nil
}

func checkWebSocketVersion(r *Request) *HandshakeError {
	version, n := r.Get("Sec-WebSocket-Version")
	var text string
	switch {
	case n == 0:
		text = "no Sec-WebSocket-Version header; this server speaks 13"
	case n > 1:
		text = "more than one Sec-WebSocket-Version header"
	case string(version) != "13":
		text = "Sec-WebSocket-Version " + quoteShort(version) + " is not spoken here; 13 is"
	default:
		return nil
	}
	// RFC 6455, 4.4: the answer names the versions that the server speaks.
	return &HandshakeError{
		Status: http.StatusBadRequest,
		Text:   text,
		Header: []string{"Sec-WebSocket-Version", "13"},
	}
}

// checkKey: a base64-encoded value that, when decoded, is 16 bytes in length.
func checkKey(r *Request) *HandshakeError {
	const size = 16
	key, n := r.Get("Sec-WebSocket-Key")
	switch {
	case n == 0:
		return badRequest("no Sec-WebSocket-Key header")
	case n > 1:
		return badRequest("more than one Sec-WebSocket-Key header")
	}
	var nonce [size + 2]byte // padding is decoded too before it is cut off
	if len(key) == base64.StdEncoding.EncodedLen(size) {
		if n, err := base64.StdEncoding.Decode(nonce[:], key); err == nil && n == size {
			return nil
		}
	}
	return badRequest("Sec-WebSocket-Key is not the base64 of 16 bytes")
}

// checkNoBody: the bytes behind the head are frames, never a body.
func checkNoBody(r *Request) *HandshakeError {
	if _, n := r.Get("Transfer-Encoding"); n > 0 {
		return badRequest("a WebSocket handshake has no body, but Transfer-Encoding announces one")
	}
	length, _ := r.Get("Content-Length")
	for _, c := range length {
		if c != '0' {
			return badRequest("a WebSocket handshake has no body, but Content-Length announces one")
		}
	}
	return nil
}

func checkOrigin(r *Request) *HandshakeError {
	if _, n := r.Get("Origin"); n > 1 {
		return badRequest("more than one Origin header")
	}
	return nil
}

// checkSubprotocols: RFC 6455, 4.1: 1#token. Some proxies and libraries send an empty
// list, which counts as none.
func checkSubprotocols(r *Request) *HandshakeError {
	valid := true
	r.EachSubprotocol(func(name []byte) bool {
		valid = tokenByte.firstNotIn(name) < 0
		return !valid
	})
	if !valid {
		return badRequest("Sec-WebSocket-Protocol is not a list of names")
	}
	return nil
}

// Upgrader writes 101 responses. It is not safe for concurrent use.
type Upgrader struct {
	gobwas ws.Upgrader
	conn   memoryConn

	// Of the request under way.
	request                 *Request
	subprotocol, extensions string
}

func NewUpgrader() *Upgrader {
	u := &Upgrader{}
	u.gobwas = ws.Upgrader{
		ReadBufferSize:  512, // more than the canonical head
		WriteBufferSize: 512,
		Header:          u,
	}
	return u
}

// Accept returns the 101 that accepts r, which CheckUpgrade must have found valid.
// It selects subprotocol if the client has offered it; extensions is the value of
// Sec-WebSocket-Extensions, "" for none. The response is valid until the next call.
//
// gobwas gets a canonical head instead of the client's: it refuses lists in Upgrade
// that RFC 9110 allows, and needs no other fields.
func (u *Upgrader) Accept(r *Request, subprotocol, extensions string) (response []byte) {
	key, _ := r.Get("Sec-WebSocket-Key")
	u.conn.in = append(append(append(u.conn.in[:0], canonicalHead...), key...), headEnding...)
	u.conn.unread = u.conn.in
	u.conn.out = u.conn.out[:0]
	u.request, u.subprotocol, u.extensions = r, subprotocol, extensions
	_, err := u.gobwas.Upgrade(&u.conn)
	u.request = nil
	if err != nil {
		panic("BUG: a request that has not been checked is accepted: " + err.Error())
	}
	return u.conn.out
}

const canonicalHead = "GET / HTTP/1.1\r\n" +
	"Host: gateway\r\n" +
	"Upgrade: websocket\r\n" +
	"Connection: Upgrade\r\n" +
	"Sec-Websocket-Version: 13\r\n" +
	"Sec-Websocket-Key: "

// WriteTo writes the further header fields of the 101: gobwas calls it.
func (u *Upgrader) WriteTo(w io.Writer) (int64, error) {
	n, err := writeField(w, "Sec-WebSocket-Extensions: ", u.extensions)
	if err != nil {
		return n, err
	}
	m, err := u.writeSubprotocol(w)
	return n + m, err
}

// writeSubprotocol: RFC 6455, 4.2.2: a subprotocol that the client has not offered
// must not be selected.
func (u *Upgrader) writeSubprotocol(w io.Writer) (int64, error) {
	offered := false
	u.request.EachSubprotocol(func(offer []byte) bool {
		offered = string(offer) == u.subprotocol
		return offered
	})
	if !offered {
		return 0, nil
	}
	return writeField(w, "Sec-WebSocket-Protocol: ", u.subprotocol)
}

// writeField writes a header line, if it has a value.
func writeField(w io.Writer, name, value string) (int64, error) {
	if value == "" {
		return 0, nil
	}
	written := 0
	for _, s := range [...]string{name, value, "\r\n"} {
		n, err := io.WriteString(w, s)
		if written += n; err != nil {
			return int64(written), err
		}
	}
	return int64(written), nil
}

// memoryConn is a connection in memory, on which one request head arrives.
type memoryConn struct {
	in, unread, out []byte
}

func (c *memoryConn) Read(p []byte) (int, error) {
	if len(c.unread) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.unread)
	c.unread = c.unread[n:]
	return n, nil
}

func (c *memoryConn) Write(p []byte) (int, error) {
	c.out = append(c.out, p...)
	return len(p), nil
}
