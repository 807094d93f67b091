package docs_test

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "ws-gateway/"

// room is a row of ARCHITECTURE.md's table of packages.
type room struct {
	name    string   // of the package's folder; with /… all below it too
	imports []string // those of ours that it may import, written alike
}

// TestEveryPackageImportsWhatArchitectureSays holds the walls: a package that is not
// in the table, an import that its row has not and one that it has in vain are errors.
func TestEveryPackageImportsWhatArchitectureSays(t *testing.T) {
	rooms := readRooms(t)
	used := map[string]bool{}
	for name, imports := range packages(t) {
		row := roomOf(rooms, name)
		if row == nil {
			t.Errorf("package %s is not in ARCHITECTURE.md", name)
			continue
		}
		used[row.name] = true
		for _, imported := range imports {
			allowed := slices.IndexFunc(row.imports, func(pattern string) bool { return within(pattern, imported) })
			switch {
			case allowed >= 0:
				used[row.name+" "+row.imports[allowed]] = true
			case !within(row.name, imported):
				t.Errorf("%s imports %s, which ARCHITECTURE.md does not say", name, imported)
			}
		}
	}
	for _, row := range rooms {
		if !used[row.name] {
			t.Errorf("ARCHITECTURE.md has a package %s, which is not there", row.name)
		}
		for _, pattern := range row.imports {
			if !used[row.name+" "+pattern] {
				t.Errorf("ARCHITECTURE.md says that %s imports %s: it does not", row.name, pattern)
			}
		}
	}
}

func TestNoPackageOfTheProgramImportsTheBench(t *testing.T) {
	for name, imports := range packages(t) {
		for _, imported := range imports {
			if strings.HasPrefix(imported, "bench/") && !strings.HasPrefix(name, "bench/") && !strings.HasPrefix(name, "cmd/ws-bench") {
				t.Errorf("%s imports %s", name, imported)
			}
		}
	}
}

var packageRow = regexp.MustCompile("(?m)^\\| `([a-z0-9./…-]+)` \\|[^|]*\\|([^|]*)\\|$")

func readRooms(t *testing.T) (rooms []room) {
	t.Helper()
	for _, row := range packageRow.FindAllStringSubmatch(section(t, "../ARCHITECTURE.md", "packages"), -1) {
		imports := strings.FieldsFunc(row[2], func(r rune) bool { return r == ' ' || r == '`' })
		for i := range imports {
			imports[i] = whole(imports[i])
		}
		rooms = append(rooms, room{whole(row[1]), imports})
	}
	if len(rooms) < 10 {
		t.Fatalf("%d packages were found in ARCHITECTURE.md", len(rooms))
	}
	return rooms
}

// whole is the path of a package whose row says ./ for the program's folder.
func whole(name string) string {
	if below, ok := strings.CutPrefix(name, "./"); ok {
		return "cmd/ws-gateway/" + below
	}
	return name
}

// roomOf is the row for a package: its own before one that covers several.
func roomOf(rooms []room, name string) *room {
	for _, exact := range []bool{true, false} {
		for i := range rooms {
			if rooms[i].name == name || !exact && within(rooms[i].name, name) {
				return &rooms[i]
			}
		}
	}
	return nil
}

func within(pattern, name string) bool {
	below, covers := strings.CutSuffix(pattern, "/…")
	return name == below || covers && strings.HasPrefix(name, below+"/")
}

// packages are the module's, without those that are tests only, and what each of them
// imports of ours. The sources are read, not asked of go list, so that go test notices
// when they change.
func packages(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for _, path := range texts(t, ".go") {
		name := filepath.ToSlash(filepath.Dir(strings.TrimPrefix(path, "../")))
		if strings.HasPrefix(name, "bench/peers") || strings.HasPrefix(name, "deploy/tools") || strings.HasPrefix(name, "e2e/clients") || strings.HasPrefix(name, "examples/") {
			continue // modules of their own
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		if found[name] == nil {
			found[name] = []string{}
		}
		for _, spec := range file.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			if ours, ok := strings.CutPrefix(imported, module); ok && !slices.Contains(found[name], ours) {
				found[name] = append(found[name], ours)
			}
		}
	}
	if len(found) < 10 {
		t.Fatalf("only these packages were found: %v", found)
	}
	return found
}
