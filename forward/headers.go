package forward

import "strings"

// Field is a header field of a client's request.
type Field struct{ Name, Value string }

// PackHeaders makes Source.Headers of a client's Cookie header, "" for none, and
// the other fields that are to go with each of the connection's events. A cookie
// alone is returned as it is, so that it takes no memory of its own.
//
// A packed string with more begins with a line break, which no value of a field
// holds: a line with the cookie, then header lines as they are sent.
func PackHeaders(cookie string, fields []Field) string {
	if len(fields) == 0 {
		return oneLine(cookie)
	}
	var b strings.Builder
	b.WriteByte('\n')
	b.WriteString(oneLine(cookie))
	b.WriteByte('\n')
	for _, f := range fields {
		b.WriteString(f.Name)
		b.WriteString(": ")
		b.WriteString(oneLine(f.Value))
		b.WriteString("\r\n")
	}
	return b.String()
}

// unpackHeaders takes apart what PackHeaders has made, without copying.
func unpackHeaders(packed string) (cookie, lines string) {
	if !strings.HasPrefix(packed, "\n") {
		return packed, ""
	}
	cookie, lines, _ = strings.Cut(packed[1:], "\n")
	return cookie, lines
}

// oneLine makes blanks of what would end a header line.
func oneLine(value string) string {
	if !strings.ContainsAny(value, "\r\n\x00") {
		return value
	}
	return strings.Map(func(r rune) rune {
		if r == '\r' || r == '\n' || r == 0 {
			return ' '
		}
		return r
	}, value)
}
