package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"testing"
)

// TestNoTestLooksOnceForWhatItHasCaused finds metrics and log lines of e2e that are compared
// at once with what is to come of a test. Other goroutines than the one that answers
// publish them, so that on a busy machine they come later:
//
//	g.expectMetric(t, series, 1)
//	g.logged(t, 1, "a part of the line")
//
// What is looked at now (metricNow, MatchingNow) may be compared within a function, which
// may be Poll's, and with > to what is too much.
func TestNoTestLooksOnceForWhatItHasCaused(t *testing.T) {
	paths, err := filepath.Glob("../e2e/*_test.go")
	if err != nil || len(paths) < 50 {
		t.Fatalf("only %d files were found: %v", len(paths), err)
	}
	for _, path := range paths {
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Body != nil {
				for _, at := range looks(f.Body) {
					t.Errorf("%s: this may not be there yet: wait for it with expectMetric, awaitMetric or logged", set.Position(at))
				}
			}
		}
	}
}

func TestALookThatIsComparedIsFound(t *testing.T) {
	for body, found := range map[string]int{
		`if n := g.metricNow(t, "x"); n != 1 {}`:                               1,
		`if got, x := float64(g.metricNow(t, "x")), 2; got < 1 {}`:             1,
		`if g.metricNow(t, "x") == 0 {}`:                                       1,
		`if len(g.Log.MatchingNow("x")) != 1 {}`:                               1,
		`t.Run("", func(t *testing.T) { if g.metricNow(t, "x") != was+1 {} })`: 1,
		`if n := g.metricNow(t, "x"); n > 0 {}`:                                0,
		`if n := len(g.Log.MatchingNow("x")); n > 0 {}`:                        0,
		`Poll(t, "", func() bool { return g.metricNow(t, "x") == 1 })`:         0,
		`before := g.metricNow(t, "x"); f(before)`:                             0,
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "", "package p\nfunc f() {"+body+"}", parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if got := looks(file.Decls[0].(*ast.FuncDecl).Body); len(got) != found {
			t.Errorf("%s: %d were found, want %d", body, len(got), found)
		}
	}
}

// looks are the places at which a test's own body requires what a look has found.
func looks(body *ast.BlockStmt) (found []token.Pos) {
	seen := map[string]bool{} // variables that a look was assigned to
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return isTest(n.Type)
		case *ast.AssignStmt:
			for i, name := range n.Lhs {
				if name, ok := name.(*ast.Ident); ok {
					seen[name.Name] = len(n.Lhs) == len(n.Rhs) && isLook(n.Rhs[i])
				}
			}
		case *ast.BinaryExpr:
			if n.Op != token.EQL && n.Op != token.NEQ && n.Op != token.LSS && n.Op != token.LEQ {
				return true
			}
			if name, ok := n.X.(*ast.Ident); isLook(n.X) || ok && seen[name.Name] {
				found = append(found, n.Pos())
			}
		}
		return true
	})
	return found
}

// isLook: it is the result of metricNow or MatchingNow, or how many there are.
func isLook(e ast.Expr) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	if f, ok := call.Fun.(*ast.Ident); ok && len(call.Args) == 1 && (f.Name == "len" || f.Name == "int" || f.Name == "float64") {
		return isLook(call.Args[0])
	}
	f, ok := call.Fun.(*ast.SelectorExpr)
	return ok && (f.Sel.Name == "metricNow" || f.Sel.Name == "MatchingNow")
}
