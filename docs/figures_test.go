package docs_test

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// measured is figures.yaml.
type measured struct {
	Machine string
	Figures []figure
	Peers   struct {
		Columns, Busy []string
		Servers       [][]string
	}
	Program [][]string
}

// figure is one thing that was measured.
type figure struct{ Name, What, Figure, Command, Told string }

func readFigures(t *testing.T) (m measured) {
	t.Helper()
	if err := yaml.UnmarshalWithOptions([]byte(read(t, "figures.yaml")), &m, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestWhatWasMeasuredIsInOnePage(t *testing.T) {
	m := readFigures(t)
	var figures, peers, program strings.Builder
	fmt.Fprintf(&figures, "\nMedians of 5 rounds from one `make bench`, on a machine with %s that did little else.\n\n| what | figure | command |\n|---|---|---|\n", m.Machine)
	for _, f := range m.Figures {
		fmt.Fprintf(&figures, "| %s | %s | %s |\n", f.What, f.Figure, quoted(f.Command))
	}
	fmt.Fprintf(&peers, "\nMedians of 5 rounds on the quiet machine; those with * of 3 rounds on a busy one.\n\n| |")
	for _, column := range m.Peers.Columns {
		fmt.Fprintf(&peers, " %s%s |", column, m.star(column))
	}
	peers.WriteString("\n|---|" + strings.Repeat("---|", len(m.Peers.Columns)) + "\n")
	for _, server := range m.Peers.Servers {
		fmt.Fprintf(&peers, "| %s |", server[0])
		for i, ratio := range server[1:] {
			if ratio != "" && !slices.Contains(m.Peers.Busy, m.Peers.Columns[i]) {
				ratio += m.star(server[0])
			}
			fmt.Fprintf(&peers, " %s |", ratio)
		}
		peers.WriteString("\n")
	}
	program.WriteString("\n| part | MB |\n|---|---|\n")
	for _, part := range m.Program {
		fmt.Fprintf(&program, "| %s | %s |\n", part[0], part[1])
	}
	for name, want := range map[string]*strings.Builder{"figures": &figures, "peers": &peers, "program": &program} {
		writeSection(t, "measured.md", name, want.String()+"\n")
	}
}

// A program that has grown unnoticed makes its figure wrong, and with it the list of its parts.
func TestTheProgramIsAsLargeAsTheDocsSay(t *testing.T) {
	if testing.Short() {
		t.Skip("links the program")
	}
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ws-gateway")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "ws-gateway/cmd/ws-gateway")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	file, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	m := readFigures(t)
	said := m.Figures[slices.IndexFunc(m.Figures, func(f figure) bool { return f.Name == "binary" })].Figure
	var mb float64
	if _, err := fmt.Sscanf(said, "%f MB", &mb); err != nil {
		t.Fatalf("%q: %v", said, err)
	}
	if is := float64(file.Size()) / 1e6; math.Abs(is-mb) > mb/20 {
		t.Errorf("the program has %.1f MB, not %s: write that, and what make size prints, into figures.yaml", is, said)
	}
}

// star marks what was measured on a busy machine.
func (m *measured) star(name string) string {
	if slices.Contains(m.Peers.Busy, name) {
		return "*"
	}
	return ""
}

func quoted(command string) string {
	if command == "" {
		return ""
	}
	return "`" + command + "`"
}

var shownFigure = regexp.MustCompile(`<!-- figure ([a-z-]+) -->(.*?)<!-- /figure -->`)

func TestAFigureIsTheSameWhereverItIsShown(t *testing.T) {
	known := map[string]figure{}
	for _, f := range readFigures(t).Figures {
		known[f.Name] = f
	}
	shown := 0
	for _, path := range texts(t, ".md") {
		text := read(t, path)
		written := shownFigure.ReplaceAllStringFunc(text, func(match string) string {
			shown++
			name := shownFigure.FindStringSubmatch(match)[1]
			if _, ok := known[name]; !ok {
				t.Errorf("%s shows a figure %q, which figures.yaml has not", path, name)
			}
			return "<!-- figure " + name + " -->" + known[name].Figure + "<!-- /figure -->"
		})
		write(t, path, text, written, "shows a figure that figures.yaml has otherwise")
	}
	if shown == 0 {
		t.Error("no document shows a figure")
	}
}

// A sentence that tells what a figure tells, with a number of its own, is what one
// fact with five figures came from.
func TestNobodyTellsAFigureOfHisOwn(t *testing.T) {
	for _, f := range readFigures(t).Figures {
		if f.Told == "" {
			continue
		}
		told := regexp.MustCompile(f.Told)
		for _, path := range slices.Concat(texts(t, ".md"), texts(t, ".go")) {
			if path == filepath.Join("..", "docs", "measured.md") {
				continue // its tables are figures.yaml itself
			}
			text := shownFigure.ReplaceAllString(read(t, path), "")
			for n, line := range strings.Split(text, "\n") {
				if strings.HasSuffix(path, ".go") && !strings.Contains(line, "//") {
					continue
				}
				if match := told.FindString(line); match != "" {
					t.Errorf("%s:%d tells the figure %q by itself: %q", path, n+1, f.Name, match)
				}
			}
		}
	}
}

func TestFiguresOfTheirOwnAreFound(t *testing.T) {
	for name, sentence := range map[string]string{
		"idle":       "An idle connection takes about 311 bytes.",
		"roundtrip":  "It costs 39 s of CPU for a million round trips.",
		"handshakes": "0.04 s for a thousand handshakes",
		"binary":     "The binary is 17 MB.",
	} {
		figures := readFigures(t).Figures
		i := slices.IndexFunc(figures, func(f figure) bool { return f.Name == name })
		if i < 0 || !regexp.MustCompile(cmp.Or(figures[i].Told, "^$")).MatchString(sentence) {
			t.Errorf("%q is not found to tell the figure %s", sentence, name)
		}
	}
}
