package docs_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"ws-gateway/e2e/harness"
)

// The apps that verify signatures are files that are run below, so that what the
// docs show works.
var verifiers = []struct{ file, language string }{{"verify.go", "go"}, {"verify.mjs", "js"}, {"verify.py", "python"}}

func TestTheDocsHaveTheVerifiersThatAreTested(t *testing.T) {
	for _, v := range verifiers {
		writeSection(t, "signatures.md", v.file, "```"+v.language+"\n"+read(t, "testdata/signatures/"+v.file)+"```\n")
	}
}

// startVerifier runs a copy of the app on a port of its own.
func startVerifier(t *testing.T, file string) (url string) {
	t.Helper()
	port := harness.FreePort(t)
	runProgram(t, file, strings.ReplaceAll(read(t, "testdata/signatures/"+file), "8888", port))
	awaitListener(t, "127.0.0.1:"+port)
	return "http://127.0.0.1:" + port + "/ws/message"
}

// awaitListener waits until somebody takes connections at address.
func awaitListener(t *testing.T, address string) {
	t.Helper()
	harness.Poll(t, "somebody to listen at "+address, func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

func TestTheVerifiersTakeTheGatewaysSignaturesAndNoOthers(t *testing.T) {
	for _, v := range verifiers {
		t.Run(v.file, func(t *testing.T) {
			t.Parallel()
			url := startVerifier(t, v.file)
			for _, c := range []struct {
				secrets   string
				delivered bool
			}{
				{"change me", true},
				{"a newer one\nchange me", true}, // during a rotation
				{"another", false},
			} {
				file := harness.WriteFile(t, "secrets", c.secrets)
				g := harness.Launch{Args: []string{"--callback-url=" + url, "--callback-secret-file=" + file, "--callback-retry-for=2s"}}.Start(t)
				client := g.Dial(t, "älice")
				client.Send(`{"event":"hello", "data":"ünïcode"}`)
				client.Close(websocket.StatusNormalClosure, "")
				g.Signal(syscall.SIGINT)
				g.Wait(harness.Patience)
				if len(g.Log.MatchingNow(`"events_undelivered":0`)) != 1 {
					t.Errorf("with %q:\n%s", c.secrets, g.Log.Tail(1000))
				}
				if told := len(g.Log.MatchingNow("does not take events: signature refused")); told != 0 == c.delivered {
					t.Errorf("with %q %d lines say that the signature is refused:\n%s", c.secrets, told, g.Log.Tail(1000))
				}
			}
			refuseForgeries(t, url)
		})
	}
}

// refuseForgeries sends what looks like signatures.
func refuseForgeries(t *testing.T, url string) {
	t.Helper()
	const body = `{"data":{},"action":"open","user_name":"alice","conn_id":"x"}`
	signature := func(at time.Time, secret, body string) string {
		mac := hmac.New(sha256.New, []byte(secret))
		fmt.Fprintf(mac, "%d.%s", at.Unix(), body)
		return fmt.Sprintf("t=%d,v1=%x", at.Unix(), mac.Sum(nil))
	}
	now := time.Now()
	good := signature(now, "change me", body)
	for _, c := range []struct {
		header string
		status int
	}{
		{good, 200},
		{strings.ToLower(good) + ",v2=abc,v1=00", 200},
		{"", 503},
		{"t=", 503},
		{"v1=", 503},
		{",,=,v1,t", 503},
		{signature(now, "change me", body+" "), 503},
		{signature(now, "", body), 503},
		{signature(now.Add(-time.Hour), "change me", body), 503}, // a recording
		{signature(now.Add(time.Hour), "change me", body), 503},
		{strings.Replace(good, "t=", "t=1", 1), 503},
		{good[:len(good)-2], 503},
		{strings.Replace(good, "v1=", "v0=", 1), 503},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Ws-Signature", c.header)
		request.Close = true
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatalf("%q: %v", c.header, err)
		}
		response.Body.Close()
		if response.StatusCode != c.status {
			t.Errorf("%q is answered with %d, want %d", c.header, response.StatusCode, c.status)
		}
	}
}
