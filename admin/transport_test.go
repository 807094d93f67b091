package admin

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
)

const (
	notFound      = `{"code":404,"message":"no such route"}`
	postOnly      = `{"code":405,"message":"this route answers POST"}`
	getOnly       = `{"code":405,"message":"this route answers GET, HEAD"}`
	misdirected   = `{"code":421,"message":"clients are not served on this connection: open a new one"}`
	tooLargeBody  = `{"code":413,"message":"the request body is larger than --max-api-body"}`
	shuttingDown  = `{"code":503,"message":"the gateway is shutting down"}`
	malformed     = `{"code":400,"message":"the request is malformed"}`
	needsToken    = `{"code":401,"message":"admin token missing or wrong: send it as Authorization: Bearer"}`
	emptyList     = `{"code":0,"message":"success","data":[]}`
	oneSend       = `{"payload":1,"users":["nobody"]}`
	emptyCount    = `{"code":0,"message":"success","data":{"connections":0,"users":0}}`
	jsonAndNoMore = "application/json"
)

func TestRoutesAnswerTheirMethodsAlone(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		method, target string
		status         int
		body, allow    string
	}{
		{"GET", listPath, 200, emptyList, ""},
		{"GET", listPath + "/", 200, emptyList, ""},
		{"GET", "/TAPR/WS/Conn/List/?limit=1", 200, emptyList, ""},
		{"GET", countPath, 200, emptyCount, ""},
		{"POST", sendPath, 200, `{"code":400,"message":"request body is not valid JSON"}`, ""},
		{"POST", "/Tapr/ws/conn/SEND/?x=y", 200, `{"code":400,"message":"request body is not valid JSON"}`, ""},
		{"GET", sendPath, 405, postOnly, "POST"},
		{"PUT", sendPath, 405, postOnly, "POST"},
		{"DELETE", closePath, 405, postOnly, "POST"},
		{"OPTIONS", closePath, 405, postOnly, "POST"},
		{"PATCH", closePath, 405, postOnly, "POST"},
		{"POST", listPath, 405, getOnly, "GET, HEAD"},
		{"OPTIONS", listPath, 405, getOnly, "GET, HEAD"},
		{"TRACE", countPath, 405, getOnly, "GET, HEAD"},
		{"POST", getPath, 405, getOnly, "GET, HEAD"},
		{"get", countPath, 405, getOnly, "GET, HEAD"},
		{"GET", "/tapr/ws/conn", 404, notFound, ""},
		{"POST", "/", 404, notFound, ""},
		{"OPTIONS", "/elsewhere", 404, notFound, ""},
	} {
		got := r.do(c.method, c.target, "")
		if got.status != c.status || got.body != c.body || got.header.Get("Allow") != c.allow {
			t.Errorf("%s %s answered %d %q Allow %q, want %d %q Allow %q", c.method, c.target, got.status, got.body, got.header.Get("Allow"), c.status, c.body, c.allow)
		}
		for name, want := range map[string]string{"Content-Type": jsonAndNoMore, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Server": "", "Date": ""} {
			if value := got.header.Get(name); value != want {
				t.Errorf("%s %s: %s is %q, want %q", c.method, c.target, name, value, want)
			}
		}
		if got.close != (c.status == 404) { // on a proxy's pooled connection the next request may be a client's
			t.Errorf("%s %s, %d: ended the connection: %v", c.method, c.target, c.status, got.close)
		}
	}
}

func TestHeadIsAnsweredLikeGetWithoutABody(t *testing.T) {
	r := newRig(t)
	w := r.wire()
	for _, target := range []string{listPath, countPath, getPath + "?conn_id=x", "/healthz", "/readyz"} {
		get := w.write("GET " + target + " HTTP/1.1\r\nHost: localhost\r\n\r\n").read("GET")
		head := w.write("HEAD " + target + " HTTP/1.1\r\nHost: localhost\r\n\r\n").read("HEAD")
		if head.status != get.status || head.body != "" || fmt.Sprint(head.header) != fmt.Sprint(get.header) {
			t.Errorf("HEAD %s: %d %q %v, but GET: %d %v", target, head.status, head.body, head.header, get.status, get.header)
		}
	}
}

func TestHealthSpeaksText(t *testing.T) {
	why, ready := "", true
	r := newRig(t, func(c *Config) { c.Ready = func() (bool, string) { return ready, why } })
	check := func(method, target string, status int, body string) {
		t.Helper()
		got := r.do(method, target, "")
		if got.status != status || got.body != body || got.header.Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("%s %s answered %d %q %q", method, target, got.status, got.body, got.header.Get("Content-Type"))
		}
	}
	check("GET", "/healthz", 200, "ok\n")
	check("GET", "/readyz", 200, "ok\n")
	check("POST", "/healthz", 405, "this route answers GET, HEAD\n")
	ready, why = false, "draining"
	check("GET", "/healthz", 200, "ok\n")
	check("GET", "/readyz", 503, "draining\n")
}

func TestReadinessIsTheHubsUnlessConfigured(t *testing.T) {
	r := newRig(t)
	if got := r.do("GET", "/readyz", ""); got.status != 200 {
		t.Fatalf("readyz answered %d %q", got.status, got.body)
	}
	r.hub.SetDraining()
	if got := r.do("GET", "/readyz", ""); got.status != 503 || len(got.body) < 2 {
		t.Fatalf("while draining readyz answered %d %q", got.status, got.body)
	}
}

func TestRequestTargetsAreTakenAsSent(t *testing.T) {
	r := newRig(t)
	for target, want := range map[string]string{
		"/ws/../tapr/ws/conn/list":                notFound,
		"//tapr/ws/conn/list":                     notFound,
		"/tapr//ws/conn/list":                     notFound,
		"/tapr/ws/conn/./list":                    notFound,
		"/tapr/ws/conn/%6cist":                    notFound,
		"/tapr/ws/conn/list%2f":                   notFound,
		"/tapr/ws/conn/list%3flimit=1":            notFound,
		"/tapr/ws/conn/list#fragment":             notFound,
		"/tapr/ws/conn/list;a":                    notFound,
		"http://localhost/tapr/ws/conn/list":      emptyList,
		"http://127.0.0.1:1/TAPR/ws/conn/list":    emptyList,
		"http://localhost/x/../tapr/ws":           notFound,
		"http://localhost":                        notFound,
		"http://localhost/ws":                     misdirected,
		"/WS":                                     notFound,
		"/?/tapr/ws/conn/list":                    notFound,
		"/tapr/ws/conn/list?user=/../../else":     emptyList,
		"/tapr/ws/conn/list?user=%2f..%2f&user=x": emptyList,
	} {
		// The first request brings the connection here, the second is the test.
		w := r.wire().write("GET /tapr/ws/conn/count HTTP/1.1\r\nHost: localhost\r\n\r\n")
		w.read("GET")
		got := w.write("GET " + target + " HTTP/1.1\r\nHost: localhost\r\n\r\n").read("GET")
		if got.body != want {
			t.Errorf("%s answered %d %s, want %s", target, got.status, got.body, want)
		}
	}
}

func TestAClientOnAConnectionUsedForManagementIsSentToANewOne(t *testing.T) {
	r := newRig(t)
	const upgrade = " HTTP/1.1\r\nHost: example.org\r\nX-Forwarded-For: 203.0.113.7\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	for _, target := range []string{"/ws", "/ws/", "/ws?room=1"} {
		w := r.wire().write("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if got := w.read("GET"); got.close {
			t.Fatal("healthz ended a loopback connection")
		}
		got := w.write("GET " + target + upgrade).read("GET")
		if got.status != 421 || got.body != misdirected || !got.close {
			t.Errorf("%s answered %d %s, close %v", target, got.status, got.body, got.close)
		}
		w.ended()
	}
}

func TestWhatIsNotHTTPIsRefused(t *testing.T) {
	r := newRig(t)
	for name, request := range map[string]string{
		"no host":                       "GET /tapr/ws/conn/count HTTP/1.1\r\n\r\n",
		"two hosts":                     "GET /tapr/ws/conn/count HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
		"two lengths":                   "POST /tapr/ws/conn/send HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
		"negative length":               "POST /tapr/ws/conn/send HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n{}",
		"length with a sign":            "POST /tapr/ws/conn/send HTTP/1.1\r\nHost: localhost\r\nContent-Length: +2\r\n\r\n{}",
		"unknown transfer encoding":     "POST /tapr/ws/conn/send HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n{}",
		"chunked twice":                 "POST /tapr/ws/conn/send HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"blank before a header's colon": "POST /tapr/ws/conn/send HTTP/1.1\r\nHost: localhost\r\nContent-Length : 2\r\n\r\n{}",
		"a control character":           "GET /tapr/ws/conn/count HTTP/1.1\r\nHost: localhost\r\nX: \x01\r\n\r\n",
		"a chunk without a size":        "POST /tapr/ws/conn/send HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n{}\r\n0\r\n\r\n",
	} {
		w := r.wire().write("GET /tapr/ws/conn/count HTTP/1.1\r\nHost: localhost\r\n\r\n")
		w.read("GET")
		got := w.write(request).read("GET")
		if got.status != 400 || got.body != malformed || !got.close {
			t.Errorf("%s: %d %s, close %v", name, got.status, got.body, got.close)
		}
	}
	w := r.wire().write("GET /tapr/ws/conn/count HTTP/1.1\r\nHost: localhost\r\n\r\n")
	w.read("GET")
	got := w.write("GET /tapr/ws/conn/count HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 2*maxHeadBytes) + "\r\n\r\n").read("GET")
	if got.status != 431 || got.body != `{"code":431,"message":"the request head is too large"}` {
		t.Errorf("a large head: %d %s", got.status, got.body)
	}
}

func TestALengthBesideChunksDoesNotHideARequest(t *testing.T) {
	r := newRig(t)
	w := r.wire().write("POST " + sendPath + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" +
		"20\r\n" + oneSend + "\r\n0\r\n\r\nGET /tapr/ws/conn/count HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if got := w.read("POST"); got.status != 200 && got.status != 400 || !got.close {
		t.Fatalf("answered %d %s, close %v", got.status, got.body, got.close)
	}
	w.ended()
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	r := newRig(t)
	send := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", sendPath, len(oneSend), oneSend)
	w := r.wire().write(send + "GET /tapr/ws/conn/count HTTP/1.1\r\nHost: localhost\r\n\r\n" + send + "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n")
	for i, want := range []string{success, emptyCount, success, notFound} {
		if got := w.read("GET"); got.body != want {
			t.Fatalf("response %d is %s, want %s", i, got.body, want)
		}
	}
}

// A command's answer is sent when the next request is read. Callers need not send one.
func TestACommandsAnswerComesWhateverTheCallerDoesNext(t *testing.T) {
	r := newRig(t)
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n", sendPath, len(oneSend))
	for _, own := range []bool{false, true} {
		if own {
			r.ownListener()
		}
		w := r.wire()
		for range 3 {
			if got := w.write(head + "\r\n" + oneSend).read("POST"); got.body != success || got.close {
				t.Fatalf("answered %d %s, close %v", got.status, got.body, got.close)
			}
		}
		if got := w.write("GET " + countPath + " HTTP/1.1\r\nHost: localhost\r\n\r\n").read("GET"); got.body != emptyCount {
			t.Errorf("a question afterwards is answered %d %s", got.status, got.body)
		}
		w.write(head + "Expect: 100-continue\r\n\r\n")
		if got := w.read("POST"); got.status != 100 {
			t.Fatalf("instead of 100 there came %d %s", got.status, got.body)
		}
		if got := w.write(oneSend).read("POST"); got.body != success {
			t.Errorf("after 100: %d %s", got.status, got.body)
		}
		if got := w.write(head + "Connection: close\r\n\r\n" + oneSend).read("POST"); got.body != success || !got.close {
			t.Errorf("a last command is answered %d %s, close %v", got.status, got.body, got.close)
		}
		w.ended()

		w = r.wire()
		w.write(head + "\r\n" + oneSend).read("POST")
		w.write(head + "\r\n" + oneSend)
		if err := w.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got := w.read("POST"); got.body != success {
			t.Errorf("a caller that sends no more gets %d %s", got.status, got.body)
		}
		w.ended()
	}
}

func TestStrangersAreRefusedAndProbesAnswered(t *testing.T) {
	r := newRig(t)
	ln := newCrowd()
	r.serve(ln)
	const stranger = "192.0.2.7:4711"
	for _, c := range []struct {
		request string
		status  int
		why     string
	}{
		{"GET " + listPath + " HTTP/1.1\r\nHost: localhost\r\n\r\n", 403, "this host only"},
		{"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 403, "this host only"},
		{"GET /elsewhere HTTP/1.1\r\nHost: localhost\r\n\r\n", 403, "this host only"},
		{"POST " + sendPath + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", 8192), 403, "this host only"},
		{"GET /healthz HTTP/1.1\r\nHost: example.org\r\nOrigin: https://example.org\r\nX-Forwarded-For: 203.0.113.7\r\n\r\n", 200, "ok"},
		{"GET /readyz HTTP/1.1\r\nHost: 10.0.0.1:40010\r\nUser-Agent: kube-probe/1.33\r\n\r\n", 200, "ok"},
	} {
		w := ln.from(t, stranger).write(c.request)
		if got := w.read("GET"); got.status != c.status || !strings.Contains(got.body, c.why) || !got.close {
			t.Errorf("%.40q: %d %q, close %v", c.request, got.status, got.body, got.close)
		}
	}
	if got := ln.from(t, "[::ffff:127.0.0.1]:1").write("GET " + countPath + " HTTP/1.1\r\nHost: localhost\r\n\r\n").read("GET"); got.body != emptyCount || got.close {
		t.Errorf("a mapped loopback peer: %d %s, close %v", got.status, got.body, got.close)
	}
}

func TestARefusedProxyLosesItsConnection(t *testing.T) {
	r := newRig(t)
	w := r.wire().write("GET " + listPath + " HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 203.0.113.7\r\n\r\n")
	got := w.read("GET")
	if got.status != 403 || !got.close || !strings.HasPrefix(got.body, `{"code":403,"message":"header X-Forwarded-* shows`) {
		t.Fatalf("answered %d %s, close %v", got.status, got.body, got.close)
	}
	w.ended()
}

func TestATokenIsAskedForEverywhereButForHealth(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Token = "open-sesame" })
	for _, target := range []string{listPath, countPath, getPath, sendPath, closePath, "/elsewhere"} {
		got := r.do("GET", target, "")
		if got.status != 401 || got.body != needsToken || !got.close || got.header.Get("WWW-Authenticate") != `Bearer realm="ws-gateway"` {
			t.Errorf("%s answered %d %s %q", target, got.status, got.body, got.header.Get("WWW-Authenticate"))
		}
	}
	if got := r.do("GET", "/metrics", ""); got.status != 401 || !strings.HasPrefix(got.body, "admin token missing") {
		t.Errorf("metrics answered %d %s", got.status, got.body)
	}
	if got := r.do("GET", "/healthz", ""); got.status != 200 {
		t.Errorf("healthz answered %d", got.status)
	}
	if got := r.do("GET", countPath, "", "Authorization: Bearer open-sesame", "Host: gateway.example.org", "X-Forwarded-For: 203.0.113.7"); got.body != emptyCount {
		t.Errorf("with the token: %d %s", got.status, got.body)
	}
}

func TestAPanicFailsOneRequestOnly(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Ready = func() (bool, string) { panic(errors.New("broken")) } })
	if got := r.do("GET", "/readyz", ""); got.status != 500 || got.body != "internal error\n" || !got.close || got.header.Get("Date") != "" {
		t.Fatalf("answered %d %q, close %v", got.status, got.body, got.close)
	}
	if got := r.do("GET", countPath, ""); got.body != emptyCount {
		t.Fatalf("afterwards: %d %s", got.status, got.body)
	}
}
