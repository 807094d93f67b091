package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestWhatATestHoldsBackIsReleasedWhenItFails finds channels that goroutines of a test
// receive from until the test closes them on its way to its end. If such a test fails
// before, its cleanup waits for these goroutines, and the package ends half an hour later
// without a word of what failed. A context of the test's ends with it:
//
//	released, release := context.WithCancel(t.Context())
func TestWhatATestHoldsBackIsReleasedWhenItFails(t *testing.T) {
	files := 0
	for _, path := range tests(t) {
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files++
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Body != nil {
				for _, at := range heldBack(f.Body) {
					t.Errorf("%s: what waits for this waits for ever if the test fails before; use context.WithCancel(t.Context())", set.Position(at))
				}
			}
		}
	}
	if files < 100 {
		t.Errorf("only %d files were found", files)
	}
}

func TestAChannelThatHoldsATestBackIsFound(t *testing.T) {
	for body, found := range map[string]int{
		`go func() { <-c }(); close(c)`:                                    1,
		`run(func() { f(<-c) }); t.Run("", func(t *testing.T) {close(c)})`: 1,
		`run(func() { <-c }); return sync.OnceFunc(func() { close(c) })`:   1,
		`go func() { select { case <-c: } }(); close(c)`:                   1,
		`go func() { <-c }(); defer close(c)`:                              0,
		`go func() { <-c }(); t.Cleanup(func() { close(c) })`:              0,
		`go func() { close(c) }(); <-c`:                                    0,
		`go func() { select { case <-c: case <-d: } }(); close(c)`:         0,
		`t.Run("", func(t *testing.T) { <-c }); close(c)`:                  0,
		`go func() { <-c.Done() }(); close(d)`:                             0,
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "", "package p\nfunc f() {"+body+"}", parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if got := heldBack(file.Decls[0].(*ast.FuncDecl).Body); len(got) != found {
			t.Errorf("%s: %d were found, want %d", body, len(got), found)
		}
	}
}

// heldBack are the places at which a test's body closes what other goroutines wait for
// and for nothing else.
func heldBack(body *ast.BlockStmt) (found []token.Pos) {
	closes, awaited := map[string][]token.Pos{}, map[string]bool{}
	// inside: within a function that is not the test's own, so that another goroutine may
	// run it.
	var walk func(n ast.Node, inside bool)
	walk = func(n ast.Node, inside bool) {
		ast.Inspect(n, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncLit:
				walk(n.Body, inside || !isTest(n.Type))
				return false
			case *ast.DeferStmt:
				return false
			case *ast.SelectStmt:
				return len(n.Body.List) == 1
			case *ast.UnaryExpr:
				if name, ok := n.X.(*ast.Ident); ok && n.Op == token.ARROW && inside {
					awaited[name.Name] = true
				}
			case *ast.CallExpr:
				if name := closed(n); name != "" && !inside {
					closes[name] = append(closes[name], n.Pos())
				}
				if isOnceFunc(n.Fun) {
					walk(n.Args[0].(*ast.FuncLit).Body, false)
					return false
				}
			}
			return true
		})
	}
	walk(body, false)
	for name := range awaited {
		found = append(found, closes[name]...)
	}
	slices.Sort(found)
	return found
}

// isTest: it takes a *testing.T or the like, and so runs on the test's goroutine.
func isTest(f *ast.FuncType) bool {
	return slices.ContainsFunc(f.Params.List, func(p *ast.Field) bool {
		kind := p.Type
		if pointer, ok := kind.(*ast.StarExpr); ok {
			kind = pointer.X
		}
		return isOf(kind, "testing", "")
	})
}

func isOnceFunc(f ast.Expr) bool { return isOf(f, "sync", "OnceFunc") }

// isOf: it is this name of a package, or any.
func isOf(e ast.Expr, pkg, name string) bool {
	selector, ok := e.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	from, ok := selector.X.(*ast.Ident)
	return ok && from.Name == pkg && (name == "" || selector.Sel.Name == name)
}

// closed is the name of the channel that this call closes, if it does.
func closed(c *ast.CallExpr) string {
	f, ok := c.Fun.(*ast.Ident)
	if !ok || f.Name != "close" || len(c.Args) != 1 {
		return ""
	}
	channel, _ := c.Args[0].(*ast.Ident)
	if channel == nil {
		return ""
	}
	return channel.Name
}

// tests are the paths of all tests in Go.
func tests(t *testing.T) (paths []string) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if strings.HasSuffix(path, "_test.go") {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}
