package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unsafe"

	"github.com/tidwall/gjson"

	"ws-gateway/admin/budget"
	"ws-gateway/hub/groups"
	"ws-gateway/jsoncheck"
)

// ErrNames means that a body names more connections, users and groups than one may.
var ErrNames = errors.New("too many connections, users and groups are named for --max-api-body, which has room for one in each 24 bytes: use several calls")

// What is wrong with any body. Callers may know these texts.
var (
	errNotJSON   = errors.New("request body is not valid JSON")
	errNotObject = errors.New("request body is not a JSON object")
)

// eachMember checks that body is a JSON object, in UTF-8 as a text frame must be
// too (RFC 6455 section 5.6), and calls visit for each of its members, in order,
// until that fails.
func eachMember(body []byte, visit func(name string, v gjson.Result) error) error {
	if !jsoncheck.Valid(body) {
		return errNotJSON
	}
	object := gjson.Parse(unsafe.String(unsafe.SliceData(body), len(body)))
	if !object.IsObject() {
		return errNotObject
	}
	var err error
	object.ForEach(func(key, v gjson.Result) bool {
		err = visit(key.Str, v)
		return err == nil
	})
	return err
}

func boolOf(name string, v gjson.Result) (bool, error) {
	switch v.Type {
	case gjson.True, gjson.False, gjson.Null:
		return v.Type == gjson.True, nil
	}
	return false, fmt.Errorf("%s must be true or false", name)
}

func stringOf(name string, v gjson.Result) (string, error) {
	switch v.Type {
	case gjson.Null:
		return "", nil
	case gjson.String:
		return unquote(v.Raw)
	}
	return "", fmt.Errorf("%s must be a string", name)
}

// nameCost is the memory for the name of a connection or user, besides its text: a string
// header, and an id. A connection's id takes more in the body. A group's name takes more
// too: besides a string header its hash, and a place in the lists of the loops that have
// members.
const (
	nameCost  = 24
	groupCost = 4 * nameCost
)

// names reads arrays of strings, which have at most limit elements all together.
type names struct {
	mem   *budget.Reservation
	limit int
}

// newNames allows as many names as a body of at most so many bytes may have.
func newNames(mem *budget.Reservation, bytes int) names {
	return names{mem: mem, limit: max(bytes/nameCost, fewNames)}
}

// fewNames are allowed however small the largest body is.
const fewNames = 1024

// of reads an array of connections or users.
func (n *names) of(name string, v gjson.Result) ([]string, error) { return n.read(name, v, nameCost) }

// ofGroups reads an array of groups, and checks their names.
func (n *names) ofGroups(v gjson.Result) ([]string, error) {
	list, err := n.read("groups", v, groupCost)
	if err != nil {
		return nil, err
	}
	for _, name := range list {
		if err := groups.CheckName(name); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// read reads an array whose elements take cost bytes each. It counts them before it
// allocates: in the body, "", takes three bytes.
func (n *names) read(name string, v gjson.Result, cost int) ([]string, error) {
	if v.Type == gjson.Null {
		return nil, nil
	}
	var (
		ok    = v.IsArray()
		count int
		err   error
	)
	if ok {
		v.ForEach(func(_, element gjson.Result) bool {
			count++
			ok = element.Type == gjson.String
			return ok
		})
	}
	switch n.limit -= count * (cost / nameCost); {
	case !ok:
		return nil, fmt.Errorf("%s must be an array of strings", name)
	case count == 0:
		return nil, nil
	case n.limit < 0:
		return nil, ErrNames
	case !n.mem.Grow(int64(count * cost)):
		return nil, budget.ErrFull
	}
	list := make([]string, 0, count)
	v.ForEach(func(_, element gjson.Result) bool {
		var s string
		s, err = unquote(element.Raw)
		list = append(list, s)
		return err == nil
	})
	return list, err
}

// unquote decodes a JSON string. A string without escapes is not copied. An unpaired
// surrogate becomes U+FFFD, so that the result is UTF-8.
func unquote(quoted string) (string, error) {
	if strings.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1], nil
	}
	var s string
	if err := json.Unmarshal(bytesOf(quoted), &s); err != nil {
		return "", errNotJSON
	}
	return s, nil
}

// bytesOf returns the bytes of s, which must not be changed.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
