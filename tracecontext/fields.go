package tracecontext

import "strings"

// Names of the fields.
const (
	Parent = "traceparent"
	State  = "tracestate"
)

// IsField reports whether a header has one of these names.
func IsField(name string) bool {
	return strings.EqualFold(name, Parent) || strings.EqualFold(name, State)
}

// The parts of a traceparent of version 00: 00-<trace-id>-<parent-id>-<flags> (section 3.2).
const (
	versionChars = 2
	traceChars   = 32
	spanChars    = 16
	flagsChars   = 2

	traceAt     = versionChars + 1
	spanAt      = traceAt + traceChars + 1
	flagsAt     = spanAt + spanChars + 1
	parentChars = flagsAt + flagsChars
)

// ValidParent reports whether a value of traceparent can be used. Of a version above 00
// what is known must be in its place, and what follows it begins with a dash (section 3.2.4).
func ValidParent[T ~string | ~[]byte](v T) bool {
	if len(v) < parentChars || v[traceAt-1] != '-' || v[spanAt-1] != '-' || v[flagsAt-1] != '-' {
		return false
	}
	switch version := string(v[:versionChars]); {
	case !isHex(v[:versionChars]) || version == "ff":
		return false
	case version == "00" && len(v) != parentChars:
		return false
	case len(v) > parentChars && v[parentChars] != '-':
		return false
	}
	trace, span := v[traceAt:spanAt-1], v[spanAt:flagsAt-1]
	return isHex(trace) && !isZero(trace) && isHex(span) && !isZero(span) && isHex(v[flagsAt:parentChars])
}

// isHex reports whether all of v are hexadecimal digits, in lower case as section 3.2.1
// demands.
func isHex[T ~string | ~[]byte](v T) bool {
	for i := range len(v) {
		if c := v[i]; c-'0' > 9 && c-'a' > 'f'-'a' {
			return false
		}
	}
	return true
}

func isZero[T ~string | ~[]byte](v T) bool {
	for i := range len(v) {
		if v[i] != '0' {
			return false
		}
	}
	return true
}

// sampled reports whether the flags of a valid traceparent say that the caller may have
// recorded the trace. The others are not defined, and are not passed on (section 3.2.2.3).
func sampled(parent string) bool {
	last := parent[parentChars-1]
	digit := last - '0'
	if last >= 'a' {
		digit = last - 'a' + 10
	}
	return digit&1 == 1
}

// TraceID is the trace of a valid traceparent.
func TraceID(parent string) string { return parent[traceAt : spanAt-1] }

// Bounds of tracestate (section 3.3.1.1, 3.3.1.5).
const (
	mostMembers    = 32
	mostStateBytes = 512 // what a vendor should pass on at the least; we pass on no more
	longMember     = 128 // those that go first
)

// JoinState puts the values of all tracestate fields of a request together, and returns what
// is passed on: "" if it is not a list of at most 32 members, each once. Of one that is longer
// than 512 bytes members go as the Recommendation says: first those above 128, then the last.
func JoinState(values []string) string {
	var members []string
	for _, value := range values {
		for member := range strings.SplitSeq(value, ",") {
			member = strings.Trim(member, " \t")
			if member == "" {
				continue // allowed, and not passed on
			}
			if len(members) == mostMembers || !validMember(member, members) {
				return ""
			}
			members = append(members, member)
		}
	}
	bytes := len(members) - 1
	for _, m := range members {
		bytes += len(m)
	}
	for i := len(members) - 1; i >= 0 && bytes > mostStateBytes; i-- {
		if len(members[i]) > longMember {
			bytes -= len(members[i]) + 1
			members = append(members[:i], members[i+1:]...)
		}
	}
	for ; bytes > mostStateBytes; members = members[:len(members)-1] {
		bytes -= len(members[len(members)-1]) + 1
	}
	return strings.Join(members, ",")
}

// validMember checks key=value, and that the key has not been there before.
func validMember(member string, before []string) bool {
	key, value, ok := strings.Cut(member, "=")
	if !ok || !validKey(key) || !validValue(value) {
		return false
	}
	for _, other := range before {
		if strings.HasPrefix(other, member[:len(key)+1]) {
			return false
		}
	}
	return true
}

// validKey checks the key of a member (section 3.3.1.3.1).
func validKey(key string) bool {
	tenant, system, multi := strings.Cut(key, "@")
	if !multi {
		return isKey(key, 256, false)
	}
	return isKey(tenant, 241, true) && isKey(system, 14, false)
}

func isKey(key string, most int, digitFirst bool) bool {
	if key == "" || len(key) > most {
		return false
	}
	for i := range len(key) {
		c := key[i]
		digit := c-'0' <= 9
		switch {
		case c-'a' <= 'z'-'a':
		case digit && (i > 0 || digitFirst):
		case i > 0 && strings.IndexByte("_-*/", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// validValue checks the value of a member (section 3.3.1.3.2): up to 256 printable ASCII
// characters without commas and equals signs, the last of them no blank.
func validValue(value string) bool {
	if value == "" || len(value) > 256 || value[len(value)-1] == ' ' {
		return false
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' || c > '~' || c == ',' || c == '=' {
			return false
		}
	}
	return true
}
