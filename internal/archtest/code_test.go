package archtest

import (
	"fmt"
	"go/ast"
	"go/build/constraint"
	"go/token"
	"regexp"
	"slices"
	"strings"
)

// longest is how many lines a file of Go may have.
const longest = 500

// filesParse holds that every file could be read.
func filesParse(t *tree) []string { return t.wrong }

// packagesSayWhatTheyAreFor wants one package comment, which begins as godoc wants it.
func packagesSayWhatTheyAreFor(t *tree) []string {
	var wrong []string
	for _, pkg := range t.packages() {
		var comments []string
		name := ""
		for _, f := range t.of(pkg) {
			if strings.HasSuffix(f.Name.Name, "_test") {
				continue
			}
			name = f.Name.Name
			if f.Doc != nil {
				comments = append(comments, f.Doc.Text())
			}
		}
		begins := "Package " + name + " "
		if name == "main" {
			begins = "Command "
		}
		switch {
		case len(comments) == 0:
			wrong = append(wrong, pkg+": the package has no comment: what is it for, what is its one idea, what does it not do?")
		case len(comments) > 1:
			wrong = append(wrong, pkg+": the package has more than one comment")
		case !strings.HasPrefix(comments[0], begins):
			wrong = append(wrong, fmt.Sprintf("%s: the package comment must begin with %q", pkg, begins))
		}
	}
	return wrong
}

// nothingRunsBeforeMain forbids init functions.
func nothingRunsBeforeMain(t *tree) []string {
	var wrong []string
	for _, f := range t.files {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				wrong = append(wrong, t.at(fn)+": an init function runs whether wanted or not; let main call what is needed")
			}
		}
	}
	return wrong
}

// packagesHoldNoState forbids package variables outside tests, but for what never changes: error sentinels, embedded
// files, the assertions of interfaces, and main's release, which the linker sets.
func packagesHoldNoState(t *tree) []string {
	sentinel := regexp.MustCompile(`^[eE]rr[A-Z]`)
	var wrong []string
	for _, f := range t.files {
		if f.test {
			continue
		}
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, s := range g.Specs {
				v := s.(*ast.ValueSpec)
				for _, n := range v.Names {
					switch {
					case n.Name == "_", sentinel.MatchString(n.Name), isEmbedded(v), f.Name.Name == "main" && n.Name == "release":
						continue
					}
					wrong = append(wrong, fmt.Sprintf("%s: %s is a package variable: hand it to what needs it, or make it a constant or a function", t.at(n), n.Name))
				}
			}
		}
	}
	return wrong
}

// nobodySharesGlobals forbids what the standard library offers to the whole process: its loggers, its HTTP client and
// mux, its flags. Who needs one is handed one.
func nobodySharesGlobals(t *tree) []string {
	var wrong []string
	for _, f := range t.files {
		if f.test {
			continue
		}
		for pkg, names := range map[string][]string{
			"log":      {"Print", "Printf", "Println", "Fatal", "Fatalf", "Fatalln", "Panic", "Panicf", "Panicln", "Default", "SetOutput", "SetFlags"},
			"log/slog": {"Debug", "Info", "Warn", "Error", "Default", "SetDefault"},
			"net/http": {"DefaultClient", "DefaultTransport", "DefaultServeMux", "Handle", "HandleFunc", "Get", "Head", "Post", "PostForm", "ListenAndServe"},
			"os":       {"Setenv", "Unsetenv", "Chdir"},
		} {
			for _, s := range f.uses(pkg, names...) {
				wrong = append(wrong, fmt.Sprintf("%s: %s.%s belongs to the whole process; hand over what is needed", t.at(s), pkg, s.Sel.Name))
			}
		}
	}
	slices.Sort(wrong)
	return wrong
}

func isEmbedded(v *ast.ValueSpec) bool {
	s, ok := v.Type.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == "embed" && s.Sel.Name == "FS"
}

// nobodySleeps forbids time.Sleep: it is too short on a busy machine and too long on every other. In a synctest bubble it
// costs nothing; elsewhere a comment on the line says why.
func nobodySleeps(t *tree) []string {
	var wrong []string
	for _, f := range t.files {
		sleeps := f.uses("time", "Sleep")
		if len(sleeps) == 0 {
			continue
		}
		bubbles := t.bubbles(f)
		for _, s := range sleeps {
			inBubble := slices.ContainsFunc(bubbles, func(b ast.Node) bool { return b.Pos() <= s.Pos() && s.End() <= b.End() })
			if !inBubble && !t.explained(f, s) {
				wrong = append(wrong, t.at(s)+": time.Sleep without a comment on the line that says why; wait for what is awaited, or use a synctest bubble")
			}
		}
	}
	return wrong
}

// bubbles are the calls whose arguments run in a synctest bubble: those of synctest.Test, and of the package's own
// functions that call it.
func (t *tree) bubbles(f *goFile) []ast.Node {
	var own []string
	for _, other := range t.of(f.pkg) {
		for _, d := range other.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && len(calls(fn, isSynctest)) > 0 && !strings.HasPrefix(fn.Name.Name, "Test") {
				own = append(own, fn.Name.Name)
			}
		}
	}
	return calls(f.File, func(called ast.Expr) bool {
		name, ok := called.(*ast.Ident)
		return isSynctest(called) || ok && slices.Contains(own, name.Name)
	})
}

func isSynctest(called ast.Expr) bool {
	s, ok := called.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == "synctest" && s.Sel.Name == "Test"
}

// calls are the calls below n of what is asked for.
func calls(n ast.Node, of func(called ast.Expr) bool) []ast.Node {
	var all []ast.Node
	ast.Inspect(n, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && of(call.Fun) {
			all = append(all, call)
		}
		return true
	})
	return all
}

// explained says whether a comment stands on the line of n.
func (t *tree) explained(f *goFile, n ast.Node) bool {
	line := t.fset.Position(n.Pos()).Line
	for _, g := range f.Comments {
		for _, c := range g.List {
			if t.fset.Position(c.Pos()).Line == line && len(strings.Fields(c.Text)) > 2 {
				return true
			}
		}
	}
	return false
}

// skipsSayWhy forbids skips without a reason, and build tags that keep a test from running: plain go test runs
// everything.
func skipsSayWhy(t *tree) []string {
	var wrong []string
	for _, f := range t.files {
		if !f.test {
			continue
		}
		ast.Inspect(f.File, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) > 0 {
				return true
			}
			if s, ok := call.Fun.(*ast.SelectorExpr); ok && (s.Sel.Name == "Skip" || s.Sel.Name == "SkipNow") {
				wrong = append(wrong, t.at(call)+": a skip without a reason")
			}
			return true
		})
		for _, tag := range f.tags() {
			if !slices.Contains([]string{"race", "unix", "linux", "darwin", "windows", "amd64", "arm64"}, tag) {
				wrong = append(wrong, fmt.Sprintf("%s: the build tag %q keeps these tests from running with plain go test", f.path, tag))
			}
		}
	}
	return wrong
}

// tags are the names in a file's build constraint.
func (f *goFile) tags() []string {
	var all []string
	for _, g := range f.Comments {
		for _, c := range g.List {
			if !constraint.IsGoBuild(c.Text) || c.Pos() > f.Package {
				continue
			}
			if x, err := constraint.Parse(c.Text); err == nil {
				x.Eval(func(tag string) bool {
					all = append(all, tag)
					return true
				})
			}
		}
	}
	return all
}

// filesAreShort bounds the length of a file.
func filesAreShort(t *tree) []string {
	var wrong []string
	for _, f := range t.files {
		if n := strings.Count(string(t.texts[f.path]), "\n"); n > longest {
			wrong = append(wrong, fmt.Sprintf("%s: %d lines; more than %d are two files", f.path, n, longest))
		}
	}
	return wrong
}
