// Package portable decides whether a JSON text can stand, byte for byte, inside a
// larger one that is read by a parser nobody knows: PHP's json_decode, Python's json,
// JSON.parse, Go's encoding/json, Jackson. All of them follow RFC 8259, and each gives
// up on some texts that are valid: for their depth, their numbers, their escapes. A
// text that one of them gives up on would take down everything that stands beside it.
//
// It is one pass without recursion or allocation, because it looks at every message of
// every client.
package portable
