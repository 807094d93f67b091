package tracecontext

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// A connection keeps the trace of its handshake as the header lines of its POSTs, in which
// the span is left out: each event has one of its own, which follows from its request id.
const (
	lineBegin = Parent + ": 00-"
	lineSpan  = len(lineBegin) + traceChars + 1 // where the span is in the line
	noSpan    = "0000000000000000"              // which no traceparent may have
)

// Kept is what the traceparent of a connection's POSTs is made from: the trace of a valid
// traceparent, its sampled flag, and no span.
func Kept(parent string) string {
	flags := "-00"
	if sampled(parent) {
		flags = "-01"
	}
	return "00-" + TraceID(parent) + "-" + noSpan + flags
}

// IsKept reports whether header lines begin with the traceparent that Kept has made.
func IsKept[T ~string | ~[]byte](lines T) bool {
	return len(lines) >= lineSpan+spanChars && string(lines[:len(lineBegin)]) == lineBegin && string(lines[lineSpan:lineSpan+spanChars]) == noSpan
}

// Fill gives lines for which IsKept holds the span of the event with this request id: the
// same on every attempt, and another for every event.
func Fill(lines, requestID []byte) {
	sum := sha256.Sum256(requestID)
	span := sum[:spanChars/2]
	if binary.BigEndian.Uint64(span) == 0 { // which is no span
		span[0] = 1
	}
	hex.Encode(lines[lineSpan:lineSpan+spanChars], span)
}

// Filled is Fill for lines that are not changed. It returns others as they are.
func Filled(lines string, requestID []byte) string {
	if !IsKept(lines) {
		return lines
	}
	filled := []byte(lines)
	Fill(filled, requestID)
	return string(filled)
}
