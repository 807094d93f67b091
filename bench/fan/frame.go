package fan

// hello is what a connection says first, and hears again.
var hello = []byte("hello")

var mask = [4]byte{0x37, 0xfa, 0x21, 0x3d}

// masked is a text message of up to 125 bytes as a client sends it (RFC 6455,
// section 5.2).
func masked(payload []byte) []byte {
	frame := append([]byte{0x81, 0x80 | byte(len(payload))}, mask[:]...)
	for i, b := range payload {
		frame = append(frame, b^mask[i&3])
	}
	return frame
}

// plain is the same message as a server sends it.
func plain(payload []byte) []byte {
	return append([]byte{0x81, byte(len(payload))}, payload...)
}
