//go:build examples

package examples

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/goccy/go-yaml"

	"ws-gateway/e2e/harness"
)

// The images and Docker are left out: nginx, gateway and app run as compose.yaml has them.
func TestTheComposeExampleIsTheSameChatBehindNginx(t *testing.T) {
	t.Parallel()
	s := startWith(t, example{"express", "start"}, func(root string) []string { return composeOptions(t, root) })
	// The image's nginx is in the foreground by itself, and has its own place for its id.
	run(t, filepath.Join(s.root, "compose"), `exec nginx -p . -e stderr -c nginx.conf -g "daemon off; pid nginx.pid;"`, "http://"+s.nginx)
	s.site, s.clients = "http://"+s.nginx, s.nginx
	chat(t, s)
	t.Run("page", func(t *testing.T) { twoPeople(t, s.site) })
	t.Run("nothing else is passed on", func(t *testing.T) { passedOn(t, s) })
}

// composeOptions are those of the gateway in compose.yaml.
func composeOptions(t *testing.T, root string) []string {
	t.Helper()
	var file struct {
		Services struct{ Gateway struct{ Command []string } }
	}
	text, err := os.ReadFile(filepath.Join(root, "compose", "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &file); err != nil || len(file.Services.Gateway.Command) < 4 {
		t.Fatalf("compose.yaml: %v, %v", file, err)
	}
	return file.Services.Gateway.Command
}

func passedOn(t *testing.T, s *started) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: harness.Patience}
	for _, path := range []string{"/ws/message", "/ws/", "/tapr/ws/conn/list", "/ws/../tapr/ws/conn/list", "/metrics", "/console/"} {
		answer, err := client.Post(s.site+path, "application/json", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusNotFound {
			t.Errorf("%s is answered with %s", path, answer.Status)
		}
	}
}
