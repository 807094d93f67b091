package admin

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"
)

// parameter is one that a route's query may have.
type parameter struct {
	name       string
	repeatable bool
}

// queries has what the routes know that answer with data. Whatever else is in a
// query is a mistake, which would select more than was meant: ?usr=alice would list
// everybody. Routes that are not here select nothing, and their query does not
// count, nor does that of a POST, whose body says everything.
var queries = map[route][]parameter{
	routeList:   {{"user", true}, {"user_prefix", false}, {"remote", false}, {"limit", false}, {"cursor", false}},
	routeCount:  {},
	routeGet:    {{"conn_id", false}},
	routeEvents: {{"user", true}, {"conn_id", true}, {"action", true}, {"payload", false}, {"rate", false}},
	routeStatus: {},
	routeConfig: {},
}

// checkQuery says what is wrong with the names in a query; nil for nothing.
func checkQuery(query []byte, known []parameter) error {
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
			return fmt.Errorf("unknown query parameter %s: this route takes %s", shown(key), namesOf(known))
		case known[i].repeatable:
		case slices.Contains(seen, known[i].name):
			return fmt.Errorf("query parameter %s is there twice: give it once", known[i].name)
		default:
			seen = append(seen, known[i].name)
		}
	}
	return nil
}

// shown is a stranger's name for a parameter, as far as it is of use in a message.
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

// namesOf lists names for a message.
func namesOf(known []parameter) string {
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
