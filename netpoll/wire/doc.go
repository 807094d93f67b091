// Package wire is the protocol without the network: request heads (RFC 9112), the
// WebSocket handshake, frames and close codes (RFC 6455), and permessage-deflate
// (RFC 7692), as functions of bytes.
//
//	head      HeadEnd ──▶ ParseHead ──▶ CheckUpgrade ──▶ NegotiateDeflate
//	answer    Upgrader.Accept, or HandshakeError.AppendTo
//	frames in DecodeHeader, UTF8Checker, Inflater, ParseClosePayload
//	     out  AppendFrameHeader, Frame, Deflater
//
// Whatever breaks a rule is named: a [HandshakeError] says what the HTTP response
// is, a [Violation] what the close frame is. Nothing here reads, writes, waits,
// starts a goroutine or looks at a clock; all input may be hostile, and each parser
// has its fuzz target.
//
// It imports gobwas/ws, klauspost's flate and, of the project's packages, httptoken.
package wire
