package admin

import (
	"strings"
	"testing"
)

func TestAQueryMayHaveWhatItsRouteKnows(t *testing.T) {
	known := *routeNamed("list").query
	for query, want := range map[string]string{
		"":                            "",
		"&":                           "",
		"user=":                       "",
		"user":                        "",
		"user=a&user=b&limit=5":       "",
		"limit=5&":                    "",
		"%75ser=a":                    "",
		"usr=al":                      "unknown query parameter usr: this route takes user, user_prefix, remote, older_than, group, limit, cursor and scope",
		"User=al":                     "unknown query parameter User: this route takes user, user_prefix, remote, older_than, group, limit, cursor and scope",
		"user%5B%5D=al":               "unknown query parameter user[]: this route takes user, user_prefix, remote, older_than, group, limit, cursor and scope",
		"user=a;usr=b":                "",
		"user=a&=b":                   "unknown query parameter without a name: this route takes user, user_prefix, remote, older_than, group, limit, cursor and scope",
		"limit=5&limit=5":             "query parameter limit is there twice: give it once",
		"cursor=&cursor=":             "query parameter cursor is there twice: give it once",
		"%ff%00\"=":                   `unknown query parameter \xff\x00\": this route takes user, user_prefix, remote, older_than, group, limit, cursor and scope`,
		strings.Repeat("x", 50) + "=": "unknown query parameter " + strings.Repeat("x", 40) + "…: this route takes user, user_prefix, remote, older_than, group, limit, cursor and scope",
	} {
		got := ""
		if err := known.check([]byte(query)); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", query, got, want)
		}
	}
}

func TestEveryRouteThatAnswersWithDataSaysWhatItsQueryMayHave(t *testing.T) {
	for _, r := range routes {
		has := r.query != nil
		if want := r.takes([]byte("GET")) && !r.text; has != want {
			t.Errorf("%v: %v, want %v", r, has, want)
		}
	}
}

func TestARequestWithoutAQueryCostsNothingMore(t *testing.T) {
	known := routeNamed("list").query
	if n := testing.AllocsPerRun(100, func() { _ = known.check(nil) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
