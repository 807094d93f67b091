package docs_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
	"github.com/goccy/go-yaml"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"ws-gateway/cluster/journal"
	"ws-gateway/cmd/ws-gateway/config"
	"ws-gateway/cmd/ws-gateway/config/configtest"
	"ws-gateway/cmd/ws-gateway/host"
	"ws-gateway/cmd/ws-gateway/settings"
	"ws-gateway/e2e/harness"
)

func TestTheDocsHaveTheTableOfOptions(t *testing.T) {
	var table strings.Builder
	group := ""
	for _, v := range configtest.MustParse(t, nil, "WS_GATEWAY_NO_CALLBACK=1").Values {
		if v.Group.Title != group {
			group = v.Group.Title
			fmt.Fprintf(&table, "\n## %s\n\n| option | default | | bounds | reload |\n|---|---|---|---|---|\n", strings.TrimSuffix(group, ":"))
		}
		table.WriteString(strings.TrimSuffix(optionRow(v), "\n") + " " + boundsOf(v) + " | " + reloadOf(v) + " |\n")
	}
	writeSection(t, "configuration.md", "options", table.String()+"\n")
}

// reloadOf says whether SIGHUP is enough to change an option.
func reloadOf(v settings.Value) string {
	if v.Reloads() {
		return "yes"
	}
	return "restart"
}

// boundsOf says what an option may be.
func boundsOf(v settings.Value) string {
	least, most := v.Tag.Get("min"), v.Tag.Get("max")
	switch {
	case v.Tag.Get("oneof") != "":
		return "`" + strings.ReplaceAll(v.Tag.Get("oneof"), ",", "` `") + "`"
	case least != "" && most != "":
		return least + " to " + most
	case least != "":
		return "from " + least
	}
	return ""
}

func TestTheDocsHaveTheCommands(t *testing.T) {
	content := read(t, "configuration.md")
	commands := 0
	for _, name := range (config.Parser{}).Commands() {
		if name == "run" { // the default
			continue
		}
		commands++
		if !strings.Contains(content, "| `ws-gateway "+name) {
			t.Errorf("docs/configuration.md says nothing of ws-gateway %s", name)
		}
	}
	if commands < 4 {
		t.Errorf("%d commands were found", commands)
	}
}

func TestTheDocsHaveTheTableOfMetrics(t *testing.T) {
	closed := make(chan struct{})
	tell := sync.OnceFunc(func() { close(closed) }) // an event may come twice
	app := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); strings.Contains(string(body), `"action":"close"`) {
			tell()
		}
	}))
	defer app.Close()
	g := harness.Launch{Args: []string{"--callback-url=" + app.URL, "--callback-batch=2", "--resume-for=1m", "--resume-state=" + filepath.Join(t.TempDir(), "sessions"), "--cluster=nats://127.0.0.1:1", "--cluster-app=docs"}}.Start(t)
	// Some are there only once there is something to count: a connection that has come
	// and gone, a callback, a request.
	g.Dial(t, "").Close(websocket.StatusNormalClosure, "")
	<-closed
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	defer client.CloseIdleConnections()
	response, err := client.Get("http://" + g.Addr + "/tapr/ws/conn/count")
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, response.Body)
	response.Body.Close()
	var families map[string]*dto.MetricFamily
	harness.Poll(t, "the gateway has read the app's answer to the close event", func() bool {
		families = scrape(t, client, g.Addr)
		return slices.ContainsFunc(families["ws_gateway_callbacks_delivered_total"].GetMetric(), func(m *dto.Metric) bool {
			return m.GetLabel()[0].GetValue() == "close" && m.GetCounter().GetValue() > 0
		})
	})
	var table strings.Builder
	table.WriteString("\n| metric | type | |\n|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(families)) {
		if !strings.HasPrefix(name, "ws_gateway_") {
			continue
		}
		family := families[name]
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", name, strings.ToLower(family.GetType().String()), family.GetHelp()+labelsOf(family))
	}
	writeSection(t, "operations.md", "metrics", table.String()+"\n")
	for _, name := range metricsOfTheSources(t) {
		if families[name] == nil {
			t.Errorf("%s has no samples here, and is missing from the table", name)
		}
	}
}

// scrape returns the metrics of the gateway at addr.
func scrape(t *testing.T, client *http.Client, addr string) map[string]*dto.MetricFamily {
	t.Helper()
	response, err := client.Get("http://" + addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text := expfmt.NewTextParser(model.LegacyValidation)
	families, err := text.TextToMetricFamilies(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// sources are the gateway's files, without the demo.
func sources(t *testing.T) (files []string) {
	t.Helper()
	for _, file := range texts(t, ".go") {
		folder, rest, _ := strings.Cut(strings.TrimPrefix(file, "../"), "/")
		part := slices.Contains([]string{"admin", "forward", "hub", "netpoll"}, folder) || folder == "cmd" && strings.HasPrefix(rest, "ws-gateway/")
		if part && filepath.Base(filepath.Dir(file)) != "demo" {
			files = append(files, file)
		}
	}
	return files
}

// metricsOfTheSources are the names that the packages give their metrics.
func metricsOfTheSources(t *testing.T) (names []string) {
	t.Helper()
	pattern := regexp.MustCompile(`(?:describe|NewDesc)\("(\w+)"|"ws_gateway_(\w+)"`)
	for _, file := range sources(t) {
		for _, m := range pattern.FindAllStringSubmatch(read(t, file), -1) {
			if name := m[1] + m[2]; name != "ws_gateway_" { // the prefix by itself
				names = append(names, "ws_gateway_"+name)
			}
		}
	}
	if len(names) < 20 {
		t.Errorf("only %d metrics were found", len(names))
	}
	return names
}

// differs tells labels whose values depend on what has happened, or on the build.
func differs(label string) bool {
	return strings.HasSuffix(label, "version") || label == "code" || label == "initiator"
}

// labelsOf names a family's labels and their values.
func labelsOf(family *dto.MetricFamily) (text string) {
	values := map[string][]string{}
	var names []string
	for _, metric := range family.GetMetric() {
		for _, label := range metric.GetLabel() {
			name, v := label.GetName(), label.GetValue()
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
			if !slices.Contains(values[name], v) {
				values[name] = append(values[name], v)
			}
		}
	}
	if slices.ContainsFunc(names, differs) || family.GetType() == dto.MetricType_HISTOGRAM && len(names) > 0 {
		return " Labels: `" + strings.Join(names, "`, `") + "`."
	}
	for _, name := range names {
		slices.Sort(values[name])
		text += fmt.Sprintf(" `%s`: %s.", name, strings.Join(values[name], ", "))
	}
	return text
}

func TestTheDocsHaveTheTableOfAlerts(t *testing.T) {
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert       string
				Annotations struct{ Description string }
			}
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "../deploy/prometheus/alerts.yaml")), &rules); err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("\n| alert | |\n|---|---|\n")
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			fmt.Fprintf(&table, "| `%s` | %s |\n", rule.Alert, rule.Annotations.Description)
		}
	}
	writeSection(t, "operations.md", "alerts", table.String()+"\n")
}

// A message of the log, at a level that somebody should look at.
type complaint struct{ file, text string }

// complaints finds the messages of warnings and errors in the source, up to what
// is put into them.
func complaints(t *testing.T) (found []complaint) {
	t.Helper()
	for _, file := range sources(t) {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && complains(call) {
				if text := beginning(call.Args[0]); text != "" {
					found = append(found, complaint{file, text})
				}
			}
			return true
		})
	}
	return found
}

// complains reports whether a call ends a chain that began with Warn() or Error().
func complains(call *ast.CallExpr) bool {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || len(call.Args) == 0 || method.Sel.Name != "Msg" && method.Sel.Name != "Msgf" {
		return false
	}
	for {
		before, ok := method.X.(*ast.CallExpr)
		if !ok {
			return false
		}
		if method, ok = before.Fun.(*ast.SelectorExpr); !ok {
			return false
		}
		if len(before.Args) == 0 && (method.Sel.Name == "Warn" || method.Sel.Name == "Error") {
			return true
		}
	}
}

// beginning is what is certain of a message.
func beginning(e ast.Expr) string {
	if sum, ok := e.(*ast.BinaryExpr); ok {
		e = sum.X
	}
	literal, ok := e.(*ast.BasicLit)
	if !ok {
		return ""
	}
	text, err := strconv.Unquote(literal.Value)
	if err != nil {
		return ""
	}
	text, _, _ = strings.Cut(text, "%")
	text, _, _ = strings.Cut(text, ":")
	return strings.TrimSpace(text)
}

func TestTheDocsHaveWhatWarningsAndErrorsMean(t *testing.T) {
	content := read(t, "operations.md")
	all := complaints(t)
	if len(all) < 25 {
		t.Errorf("only %d were found", len(all))
	}
	for _, c := range all {
		if !strings.Contains(content, "`"+c.text) {
			t.Errorf("docs/operations.md does not say what to do about %q of %s", c.text, c.file)
		}
	}
}

func TestTheDocsNameTheSubjectsThatTheClustersJournalNeeds(t *testing.T) {
	content := read(t, "operations.md")
	for _, subject := range journal.Subjects("<app>") {
		if !strings.Contains(content, "`"+subject+"`") {
			t.Errorf("docs/operations.md does not name %s", subject)
		}
	}
}

// Measured figures are in the README alone, so that they cannot differ; what is
// reckoned with is in the program, and the documents say the same.
func TestOneFactHasOneFigure(t *testing.T) {
	_, rest, _ := strings.Cut(read(t, "operations.md"), "## Sizing\n")
	sizing, _, ok := strings.Cut(rest, "\n## ")
	if !ok {
		t.Fatal("docs/operations.md has no Sizing")
	}
	if want := fmt.Sprintf("one for each connection, one for each of `--callback-concurrency`, and %d:", host.FixedDescriptors); !strings.Contains(sizing, want) {
		t.Errorf("Sizing does not say %q", want)
	}
	limits, alone, relaying := host.Limits{Descriptors: 1 << 20}, host.Demand{}, host.Demand{Relays: configtest.MustParse(t, nil, "WS_GATEWAY_NO_CALLBACK=1").ClusterRelays}
	taken := limits.DescriptorsAllow(&alone) - limits.DescriptorsAllow(&relaying)
	if want := fmt.Sprintf("two more for each of `--cluster-relays`, which are at most a sixteenth of the limit: %d,%03d with the default", taken/1000, taken%1000); !strings.Contains(sizing, want) {
		t.Errorf("Sizing does not say %q", want)
	}
	if got := limits.Relays(limits.Descriptors); got != limits.Descriptors/16 {
		t.Errorf("%d of %d descriptors may be relays, which is not a sixteenth", got, limits.Descriptors)
	}
	if measured := regexp.MustCompile(`\d+ B\b|[\d.]+ s (of CPU )?for a (thousand|million)`).FindAllString(sizing, -1); measured != nil {
		t.Errorf("Sizing has measured figures, which are the README's: %q", measured)
	}
	for _, document := range documents(t) {
		if found := regexp.MustCompile(`\d+ B[^|.;]{0,40} (for (a|each)|each) (idle )?connection|[\d.]+ s [^|.;]{0,20}for a (thousand|million) `).FindAllString(read(t, document), -1); found != nil {
			t.Errorf("%s has measured figures, which are the README's: %q", document, found)
		}
	}
}
