package forward

// ValidJSON reports whether data is one JSON text (RFC 8259) whose nesting is
// bounded, so that nothing which reads it later can be driven into a deep
// recursion. It never panics.
func ValidJSON(data []byte) bool { panic("BUG: seam") }
