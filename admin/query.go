package admin

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"
)

// parameter of a query.
type parameter struct {
	name       string
	repeatable bool
}

// parameters are all that a route's query may have. Anything else in it is a mistake that
// would select more than was meant: ?usr=alice would list everybody.
type parameters []parameter

// check says what is wrong with the names in a query; nil for nothing.
func (known parameters) check(query []byte) error {
	if len(query) == 0 {
		return nil
	}
	var args fasthttp.Args
	args.ParseBytes(query)
	seen := make([]string, 0, len(known))
	for key := range args.All() {
		i := slices.IndexFunc(known, func(p parameter) bool { return p.name == string(key) })
		switch {
		case i < 0:
			return fmt.Errorf("unknown query parameter %s: this route takes %s", shown(key), known)
		case known[i].repeatable:
		case slices.Contains(seen, known[i].name):
			return fmt.Errorf("query parameter %s is there twice: give it once", known[i].name)
		default:
			seen = append(seen, known[i].name)
		}
	}
	return nil
}

// shown is an unknown parameter's name, shortened and escaped for a message.
func shown(name []byte) string {
	const most = 40
	more := ""
	if len(name) > most {
		name, more = name[:most], "…"
	}
	quoted := strconv.Quote(string(name))
	if len(name) == 0 {
		return "without a name"
	}
	return quoted[1:len(quoted)-1] + more
}

// String lists the names for a message.
func (known parameters) String() string {
	if len(known) == 0 {
		return "none"
	}
	names := make([]string, len(known))
	for i, p := range known {
		names[i] = p.name
	}
	last := len(names) - 1
	if last == 0 {
		return names[0] + " alone"
	}
	return strings.Join(names[:last], ", ") + " and " + names[last]
}
