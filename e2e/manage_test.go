package e2e_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// The routes that a caller of the management API uses.
const (
	sendPath   = "/tapr/ws/conn/send"
	closePath  = "/tapr/ws/conn/close"
	listPath   = "/tapr/ws/conn/list"
	countPath  = "/tapr/ws/conn/count"
	getPath    = "/tapr/ws/conn/get"
	joinPath   = "/tapr/ws/group/join"
	leavePath  = "/tapr/ws/group/leave"
	groupsPath = "/tapr/ws/group/list"
)

const success = `{"code":0,"message":"success"}`

// answer is what the management API said.
type answer struct {
	status int
	header http.Header
	body   string
}

// request asks the management API, "Name: value" lines being its header.
func (g *gateway) request(method, target, body string, header ...string) answer {
	g.T.Helper()
	return g.requestAt("http://"+g.Addr, method, target, body, header...)
}

func (g *gateway) requestAt(base, method, target, body string, header ...string) answer {
	g.T.Helper()
	a, err := g.tryRequest(base, method, target, body, header...)
	if err != nil {
		g.T.Fatalf("%s %s: %v", method, target, err)
	}
	return a
}

func (g *gateway) tryRequest(base, method, target, body string, header ...string) (answer, error) {
	request, err := http.NewRequest(method, base+target, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Host" {
			request.Host = value
		} else {
			request.Header.Set(name, value)
		}
	}
	response, err := g.HTTP.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(text)}, err
}

func (g *gateway) get(target string, header ...string) answer {
	g.T.Helper()
	return g.request(http.MethodGet, target, "", header...)
}

func (g *gateway) post(target, body string, header ...string) answer {
	g.T.Helper()
	return g.request(http.MethodPost, target, body, header...)
}

// send and closeConns require success.
func (g *gateway) send(body string) {
	g.T.Helper()
	if a := g.post(sendPath, body); a.status != http.StatusOK || a.body != success {
		g.T.Fatalf("send %.200s answered %d %.200q", body, a.status, a.body)
	}
}

func (g *gateway) closeConns(body string) {
	g.T.Helper()
	if a := g.post(closePath, body); a.status != http.StatusOK || a.body != success {
		g.T.Fatalf("close %.200s answered %d %.200q", body, a.status, a.body)
	}
}

// parsed is the JSON of any answer of the API.
type parsed struct {
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data"`
	Cursor  string          `json:"cursor"`
}

func (a answer) parse(t testing.TB) parsed {
	t.Helper()
	var p parsed
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatalf("the answer is not JSON: %v: %d %.300q", err, a.status, a.body)
	}
	return p
}

// listed is one user of the list.
type listed struct {
	Name  string       `json:"name"`
	Conns []listedConn `json:"conns"`
}

type listedConn struct {
	ID          string `json:"id"`
	UserAgent   string `json:"userAgent"`
	ConnectedAt string `json:"connectedAt"`
	RemoteAddr  string `json:"remoteAddr"`
}

// list asks for the list and returns each user's connection ids.
func (g *gateway) list(query string) (users map[string][]listedConn, cursor string) {
	g.T.Helper()
	a := g.get(listPath + query)
	p := a.parse(g.T)
	if a.status != http.StatusOK || p.Code != 0 || p.Message != "success" {
		g.T.Fatalf("list answered %d %.300q", a.status, a.body)
	}
	var data []listed
	if err := json.Unmarshal(p.Data, &data); err != nil {
		g.T.Fatalf("the list's data: %v: %.300q", err, a.body)
	}
	users = make(map[string][]listedConn)
	for _, user := range data {
		if _, twice := users[user.Name]; twice {
			g.T.Errorf("the list names user %q twice", user.Name)
		}
		users[user.Name] = user.Conns
	}
	return users, p.Cursor
}

// only returns the one connection id that the user has.
func (g *gateway) only(user string) string {
	g.T.Helper()
	users, _ := g.list("")
	if len(users[user]) != 1 {
		g.T.Fatalf("user %q has %d connections, want 1", user, len(users[user]))
	}
	return users[user][0].ID
}

// connections asks how many connections there are.
func (g *gateway) connections() int {
	g.T.Helper()
	var count struct{ Connections, Users int }
	if err := json.Unmarshal(g.get(countPath).parse(g.T).Data, &count); err != nil {
		g.T.Fatalf("count: %v", err)
	}
	return count.Connections
}
