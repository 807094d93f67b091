// Package jsoncheck judges JSON that others have written, before it is passed on.
//
// [Valid] says whether a text is JSON at all. [Portable] says whether it can stand, byte
// for byte, inside a larger text that an unknown parser reads: PHP's json_decode,
// Python's json, JSON.parse, Go's encoding/json, Jackson. All of them follow RFC 8259,
// and each rejects some valid texts because of their depth, numbers or escapes. With such
// a text it would reject everything around it too.
//
// Every message of every client is judged here, so neither function allocates, and
// Portable is one pass without recursion. The package imports none of ours; hub, forward
// and admin, and the packages below them, may import it.
package jsoncheck
