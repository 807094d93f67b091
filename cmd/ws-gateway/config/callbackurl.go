package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"

	"ws-gateway/cmd/ws-gateway/internal/textfile"
	"ws-gateway/cmd/ws-gateway/locate"
	"ws-gateway/cmd/ws-gateway/settings"
	"ws-gateway/forward/callback"
)

var errNoCallback = errors.New("no callback URL: where does the app take its events? Give --callback-url URL, " +
	"or --manifest OlaresManifest.yaml, or WS_PORT and WS_URL in the environment; or --no-callback to only push")

const wantCallbackURL = "a URL such as http://127.0.0.1:8888/ws/message, https://… or unix:/socket:/path, without user, password and fragment"

// resolveCallback finds the callback URL: --callback-url, else --manifest, else
// WS_PORT and WS_URL.
func (c *Config) resolveCallback(env settings.Environment) (err error) {
	if c.NoCallback && c.Replay.File != "" {
		return fmt.Errorf("--no-callback (from %s): replay needs to know where the app takes its events", c.From("no-callback"))
	}
	if c.NoCallback {
		return c.checkNoCallback()
	}
	switch {
	case c.CallbackURL != "":
		if !isCallbackURL(c.CallbackURL) {
			return settings.Invalid("callback-url", withoutSecrets(c.CallbackURL), c.From("callback-url"), wantCallbackURL)
		}
		c.Callback = c.CallbackURL
	case c.Manifest != "":
		c.Callback, err = manifestCallback(c.Manifest)
		c.contents["manifest"] = digestOf(c.Callback)
		c.Sources["callback-url"] = settings.Source(filepath.Base(c.Manifest))
	case env.OfService("WS_PORT"):
		return fmt.Errorf("WS_PORT %q is what Kubernetes sets for a Service that is called ws, and no port: give --callback-url URL, "+
			"or enableServiceLinks: false in the pod's spec, or the Service another name", env["WS_PORT"])
	case env["WS_PORT"] != "" || env["WS_URL"] != "":
		c.Callback, err = environmentCallback(env)
		c.Sources["callback-url"] = "WS_PORT and WS_URL"
	case c.Certain("callback-url", "manifest", "no-callback") && !c.HasStray(): // else one of these may have been meant
		return noCallback(c.file, locate.StandardConfig)
	}
	return err
}

// noCallback is errNoCallback. It names the standard configuration file if that exists and
// no file was given, as it is not read by default.
func noCallback(file, standard string) error {
	if _, err := os.Stat(standard); file == "" && err == nil {
		return fmt.Errorf("%w. The package's configuration is read with --config %s", errNoCallback, standard)
	}
	return errNoCallback
}

// withoutSecrets removes what may be secret from a text that may be a URL, as errors may
// go to the log.
func withoutSecrets(url string) string {
	url = withoutQuery(url)
	scheme, rest, found := strings.Cut(url, "://")
	if _, host, user := strings.Cut(rest, "@"); found && user {
		return scheme + "://…@" + host
	}
	return url
}

// withoutQuery removes the query, which may hold a secret.
func withoutQuery(url string) string {
	before, _, _ := strings.Cut(url, "?")
	return before
}

func (c *Config) checkNoCallback() error {
	var errs []error
	for _, v := range c.Values {
		if (v.Name == "callback-url" || v.Name == "manifest") && !v.Target.IsZero() {
			errs = append(errs, fmt.Errorf("--no-callback (from %s) and --%s (from %s): only one of them can be used", c.From("no-callback"), v.Name, c.From(v.Name)))
		}
	}
	if c.CallbackOpen == "authorize" {
		errs = append(errs, fmt.Errorf("--no-callback (from %s) and --callback-open=authorize (from %s): without callbacks nobody can authorise", c.From("no-callback"), c.From("callback-open")))
	}
	if c.Journal != "" {
		c.Warnings = append(c.Warnings, fmt.Sprintf("--journal (from %s) does nothing with --no-callback: there is no app to tell", c.From("journal")))
	}
	if c.ClusterJournal {
		c.Warnings = append(c.Warnings, fmt.Sprintf("--cluster-journal (from %s) does nothing with --no-callback: there is no app to tell", c.From("cluster-journal")))
	}
	return errors.Join(errs...)
}

// isCallbackURL reports whether package forward can POST to s.
func isCallbackURL(s string) bool { return callback.CheckURL(s) == nil }

// localCallback is the URL of an app on this machine.
func localCallback(port int, path string) string {
	return "http://127.0.0.1:" + strconv.Itoa(port) + path
}

func parsePort(s string) (int, bool) {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 16)
	return int(n), err == nil && n > 0
}

func environmentCallback(env settings.Environment) (string, error) {
	portText, path := env["WS_PORT"], env["WS_URL"]
	if portText == "" {
		return "", fmt.Errorf("WS_URL is set to %q but WS_PORT is not: both are needed, WS_PORT is the app's port", path)
	}
	if path == "" {
		return "", fmt.Errorf("WS_PORT is set to %q but WS_URL is not: both are needed, WS_URL is the path of the app's handler, such as /ws/message", portText)
	}
	port, ok := parsePort(portText)
	if !ok {
		return "", fmt.Errorf("WS_PORT %q: must be a port from 1 to 65535", portText)
	}
	if !strings.HasPrefix(path, "/") || !isCallbackURL(localCallback(port, path)) {
		return "", fmt.Errorf("WS_URL %q: must be a path that begins with /, such as /ws/message", path)
	}
	return localCallback(port, path), nil
}

// manifestCallback reads the callback URL from an OlaresManifest.yaml, and ignores the
// rest of it.
func manifestCallback(file string) (string, error) {
	data, err := textfile.Read(file)
	if err != nil {
		return "", fmt.Errorf("--manifest %q: %w", file, textfile.WithoutPath(err))
	}
	found, err := parseManifest(data)
	if err != nil {
		return "", fmt.Errorf("--manifest %q: %w", file, err)
	}
	return found, nil
}

func parseManifest(data []byte) (string, error) {
	var manifest struct {
		Options struct {
			Websocket *struct {
				Port any `yaml:"port"`
				URL  any `yaml:"url"`
			} `yaml:"websocket"`
		} `yaml:"options"`
	}
	if err := yaml.Unmarshal(data, &manifest); err != nil {
		hint := ""
		if strings.Contains(string(data), "{{") {
			hint = "; it is a Helm template ({{ … }}): render it first, or give --callback-url"
		}
		return "", fmt.Errorf("not readable as YAML%w%s", settings.YAMLError(err), hint)
	}
	websocket := manifest.Options.Websocket
	if websocket == nil {
		return "", errors.New("the key options.websocket is missing: give it port and url")
	}
	if websocket.Port == nil {
		return "", errors.New("the key options.websocket.port is missing: it is the app's port")
	}
	if websocket.URL == nil {
		return "", errors.New("the key options.websocket.url is missing: it is the path of the app's handler, such as /ws/message")
	}
	port, ok := parsePort(fmt.Sprint(websocket.Port))
	if !ok {
		return "", fmt.Errorf("options.websocket.port %q: must be a port from 1 to 65535", fmt.Sprint(websocket.Port))
	}
	path, ok := websocket.URL.(string)
	if !ok || !strings.HasPrefix(path, "/") || !isCallbackURL(localCallback(port, path)) {
		return "", fmt.Errorf("options.websocket.url %q: must be a path that begins with /, such as /ws/message", fmt.Sprint(websocket.URL))
	}
	return localCallback(port, path), nil
}
