package abuse

import "ws-gateway/bench/load"

// Opcodes (RFC 6455, section 5.2).
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
)

const fin = 0x80

// repeat appends n frames that are alike.
func repeat(n int, first byte, payload string) []byte {
	var frames []byte
	for range n {
		frames = load.AppendFrame(frames, first, []byte(payload))
	}
	return frames
}
