package e2e_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// deliver posts an event to the app as a gateway would, and returns the status.
func (a *app) deliver(conn string, seq, attempt int, action, user, cookie string) int {
	a.t.Helper()
	body := fmt.Sprintf(`{"data":{},"action":"%s","user_name":"%s","conn_id":"%s"}`, action, user, conn)
	request, err := http.NewRequest(http.MethodPost, a.url(), strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Request-Id", fmt.Sprintf("%s-%d", conn, seq))
	request.Header.Set("X-Attempt", fmt.Sprint(attempt))
	if cookie != "" {
		request.Header.Set("Cookie", cookie)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, response.Body)
	response.Body.Close()
	return response.StatusCode
}

// delivery is one call of deliver.
type delivery struct {
	seq, attempt         int
	action, user, cookie string
	status               int // that the app answers
}

func TestTheRecordingAppNoticesEveryKindOfBreach(t *testing.T) {
	for _, test := range []struct {
		name       string
		deliveries []delivery
		breach     string // a part of the complaint; "" for none
		missing    string // a part of what incomplete says
	}{
		{"a good life", []delivery{{0, 1, "open", "u", "c", 200}, {1, 1, "message", "u", "c", 200}, {2, 1, "close", "u", "c", 200}}, "", ""},
		{"a retry", []delivery{{0, 1, "open", "u", "", 500}, {0, 2, "open", "u", "", 200}, {1, 1, "close", "u", "", 200}}, "", ""},
		{"no open", []delivery{{0, 1, "message", "u", "", 200}, {1, 1, "close", "u", "", 200}}, "first event is not open", "0 open"},
		{"two opens", []delivery{{0, 1, "open", "u", "", 200}, {1, 1, "open", "u", "", 200}, {2, 1, "close", "u", "", 200}}, "second open", "2 open"},
		{"two closes", []delivery{{0, 1, "open", "u", "", 200}, {1, 1, "close", "u", "", 200}, {2, 1, "close", "u", "", 200}}, "after the close", "2 close"},
		{"a gap", []delivery{{0, 1, "open", "u", "", 200}, {2, 1, "close", "u", "", 200}}, "came after", ""},
		{"out of order", []delivery{{0, 1, "open", "u", "", 200}, {2, 1, "message", "u", "", 200}, {1, 1, "close", "u", "", 200}}, "came after", ""},
		{"another's user", []delivery{{0, 1, "open", "u", "", 200}, {1, 1, "close", "v", "", 200}}, "user_name", ""},
		{"another's cookie", []delivery{{0, 1, "open", "u", "c", 200}, {1, 1, "close", "u", "d", 200}}, "Cookie", ""},
		{"an attempt counted twice", []delivery{{0, 1, "open", "u", "", 500}, {0, 1, "open", "u", "", 200}}, "X-Attempt", ""},
		{"a lost message", []delivery{{0, 1, "open", "u", "", 200}, {1, 1, "message", "u", "", 400}, {2, 1, "close", "u", "", 200}}, "", "never accepted"},
	} {
		t.Run(test.name, func(t *testing.T) {
			// The breaches are wanted here, so they must not fail this test.
			app := newApp(silent{t})
			app.start()
			var status int
			app.respond(func(*call) reply { return reply{status: status} })
			for _, d := range test.deliveries {
				status = d.status
				if got := app.deliver("c-1", d.seq, d.attempt, d.action, d.user, d.cookie); got != d.status {
					t.Fatalf("the app answered %d, want %d", got, d.status)
				}
			}
			if got := strings.Join(app.violations(), "\n"); !strings.Contains(got, test.breach) || (test.breach == "") != (got == "") {
				t.Errorf("violations %q, want %q", got, test.breach)
			}
			if got := app.lives["c-1"].incomplete(); !strings.Contains(got, test.missing) || test.missing == "" && got != "" && app.lives["c-1"].ended {
				t.Errorf("incomplete says %q, want %q", got, test.missing)
			}
		})
	}
}

func TestTheRecordingAppDoesNotHearWhatItsCallerHasGivenUpAndSentAgain(t *testing.T) {
	for _, gone := range []bool{true, false} {
		t.Run(fmt.Sprint("its caller is gone: ", gone), func(t *testing.T) {
			app := newApp(silent{t})
			app.start()
			app.deliver("a", 0, 2, "open", "u", "")
			caller, conn := connected(t)
			if gone {
				caller.Close()
			}
			request := httptest.NewRequestWithContext(withConn(t.Context(), conn), http.MethodPost, "/", strings.NewReader(`{"data":{},"action":"open","user_name":"u","conn_id":"a"}`))
			request.Header = http.Header{"Content-Type": {"application/json"}, "X-Request-Id": {"a-0"}, "X-Attempt": {"1"}}
			func() {
				defer func() { _ = recover() }()
				app.ServeHTTP(httptest.NewRecorder(), request)
			}()
			if wrong := app.violations(); (len(wrong) == 0) != gone || len(app.lives["a"].calls) == 1 != gone {
				t.Errorf("%d calls, %q", len(app.lives["a"].calls), wrong)
			}
		})
	}
}

// connected returns both ends of a connection.
func connected(t *testing.T) (here, there net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if here, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if there, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { here.Close(); there.Close() })
	return here, there
}

// silent is a test whose errors are not.
type silent struct{ *testing.T }

func (silent) Error(...any)          {}
func (silent) Errorf(string, ...any) {}

func TestTheRecordingAppRefusesWhileItIsDownAndComesBackOnItsPort(t *testing.T) {
	app := newApp(t)
	for round := range 3 {
		if status := app.deliver("a", 0, 2*round+1, "open", "u", ""); status != 0 {
			t.Fatalf("an app that is down answered %d", status)
		}
		app.start()
		if status := app.deliver("a", 0, 2*round+2, "open", "u", ""); status != http.StatusOK {
			t.Fatalf("an app that is up answered %d", status)
		}
		app.stop()
	}
}
