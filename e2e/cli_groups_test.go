package e2e_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

func TestGroupsFollowsCursorsUntilItHasEnough(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var asked []string
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.URL.RawQuery)
		n := 0
		fmt.Sscan(r.FormValue("limit"), &n)
		groups := strings.TrimSuffix(strings.Repeat(`{"name":"x","connections":1},`, n), ",")
		fmt.Fprintf(w, `{"code":0,"message":"success","data":[%s],"cursor":"after %d"}`, groups, len(asked))
	}))
	defer api.Close()
	got := cli(t, "", nil, "groups", "--gateway", api.URL, "--limit", "600", "--user", "a,b", "--user", "c")
	mu.Lock()
	defer mu.Unlock()
	want := "limit=500&user=a%2Cb&user=c\ncursor=after+1&limit=100&user=a%2Cb&user=c"
	if strings.Count(got.stdout, "\n") != 600 || got.code != 0 || strings.Join(asked, "\n") != want {
		t.Errorf("%d lines, exit code %d; asked %q", strings.Count(got.stdout, "\n"), got.code, asked)
	}
}
