package groups

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxName is the length of the longest name, in bytes.
const MaxName = 255

// NameError says why something cannot be the name of a group.
type NameError struct {
	Name string // cut off after MaxName bytes
	Why  string
}

func (e *NameError) Error() string {
	return fmt.Sprintf("%q cannot be the name of a group: %s", e.Name, e.Why)
}

// CheckName returns a *NameError unless name is 1 to MaxName bytes of UTF-8 without
// control characters.
func CheckName(name string) error {
	switch {
	case name == "":
		return &NameError{name, "it is empty"}
	case len(name) > MaxName:
		return &NameError{name[:MaxName], fmt.Sprintf("it has %d bytes, and may have %d", len(name), MaxName)}
	case !utf8.ValidString(name):
		return &NameError{name, "it is not UTF-8"}
	case strings.ContainsFunc(name, unicode.IsControl):
		return &NameError{name, "it contains a control character"}
	default:
		return nil
	}
}

// ParseList appends the names in one value of the headers X-Ws-Join and X-Ws-Leave
// to dst: a list that is separated by commas, each name percent-encoded. White space
// around a name and elements that are empty do not count (RFC 9110, 5.6.1). If one
// name is wrong nothing is appended.
func ParseList(dst []string, value string) ([]string, error) {
	names := dst
	for element := range strings.SplitSeq(value, ",") {
		element = strings.Trim(element, " \t")
		if element == "" {
			continue
		}
		name, err := url.PathUnescape(element)
		if err != nil {
			return dst, fmt.Errorf("%.300q in a list of groups is not percent-encoded: %w", element, err)
		}
		if err := CheckName(name); err != nil {
			return dst, err
		}
		names = append(names, name)
	}
	return names, nil
}

// compareNames orders names by their hashes.
func compareNames(a, b Name) int {
	return cmp.Or(cmp.Compare(a.hash, b.hash), strings.Compare(a.text, b.text))
}
