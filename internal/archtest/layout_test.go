package archtest

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strings"
)

// adapters are the names of the packages that adapt a service, sorted.
func (t *tree) adapters() []string {
	var all []string
	for _, pkg := range t.packages() {
		if name, below := isAdapter(pkg); name != "" && below == "" {
			all = append(all, name)
		}
	}
	return all
}

// rings says whether an adapter has a service behind it. The simulator is one without.
func rings(adapter string) bool { return adapter != "simulator" }

// adaptersAreAlike holds that who knows one adapter finds his way in every other: NAME.go with the Spec, the Driver, the
// list of what it can do, all of that, and classify; wire.go with what goes over the wire; NAME_test.go; a test that runs
// the contract's suite; and standin, the service played. Further files hold helpers alone.
func adaptersAreAlike(t *tree) []string {
	var wrong []string
	for _, name := range t.adapters() {
		dir := "providers/" + name
		main, wire, test := path.Join(dir, name+".go"), path.Join(dir, "wire.go"), path.Join(dir, name+"_test.go")
		files := t.of(dir)
		for _, want := range []string{main, wire, test} {
			if !slices.ContainsFunc(files, func(f *goFile) bool { return f.path == want }) {
				wrong = append(wrong, want+": every adapter has this file")
			}
		}
		if !slices.ContainsFunc(files, func(f *goFile) bool { return f.test && f.imports(module+"/providers/providertest") }) {
			wrong = append(wrong, dir+": no test of it runs providertest, the contract as tests")
		}
		for _, f := range files {
			switch {
			case f.path == main:
				wrong = append(wrong, lacks(f, rings(name))...)
			case !f.test:
				wrong = append(wrong, t.strays(f, name)...)
			}
		}
		if rings(name) && len(t.of(dir+"/standin")) == 0 {
			wrong = append(wrong, dir+"/standin: every adapter has the service as a stand-in")
		}
	}
	return wrong
}

// strays are the parts of the contract that stand outside an adapter's main file.
func (t *tree) strays(f *goFile, adapter string) []string {
	var wrong []string
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && receiver(fn) == "Driver." && fn.Name.IsExported() {
			wrong = append(wrong, fmt.Sprintf("%s: what the Driver can do is in %s.go, and %s with it", t.at(fn), adapter, fn.Name.Name))
		}
	}
	return wrong
}

// lacks says what is missing from an adapter's main file.
func lacks(f *goFile, rings bool) []string {
	var wrong []string
	need := []string{"Spec", "Driver"}
	if rings {
		need = append(need, "classify")
	}
	for _, name := range need {
		if !f.declares(name) {
			wrong = append(wrong, fmt.Sprintf("%s: it does not declare %s", f.path, name))
		}
	}
	if !f.asserts("Driver") {
		wrong = append(wrong, f.path+": the block of var _ providers.X, which lists what the adapter can do, is missing")
	}
	return wrong
}

func (f *goFile) imports(p string) bool {
	return slices.ContainsFunc(f.Imports, func(i *ast.ImportSpec) bool { return strings.Trim(i.Path.Value, "`\"") == p })
}

// declares says whether a file declares a type, a function or a method of a name.
func (f *goFile) declares(name string) bool {
	return slices.ContainsFunc(f.Decls, func(d ast.Decl) bool {
		switch d := d.(type) {
		case *ast.FuncDecl:
			return d.Name.Name == name
		case *ast.GenDecl:
			return slices.ContainsFunc(d.Specs, func(s ast.Spec) bool {
				ts, ok := s.(*ast.TypeSpec)
				return ok && ts.Name.Name == name
			})
		}
		return false
	})
}

// asserts says whether a file holds var _ providers.NAME = … .
func (f *goFile) asserts(name string) bool {
	found := false
	ast.Inspect(f.File, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && v.Names[0].Name == "_" {
			if s, ok := v.Type.(*ast.SelectorExpr); ok && s.Sel.Name == name {
				found = true
			}
		}
		return true
	})
	return found
}

// adaptersAreListed holds that providers/all names every adapter.
func adaptersAreListed(t *tree) []string {
	list := t.of("providers/all")
	var wrong []string
	for _, name := range t.adapters() {
		if len(list) > 0 && !slices.ContainsFunc(list, func(f *goFile) bool { return !f.test && f.imports(module+"/providers/"+name) }) {
			wrong = append(wrong, fmt.Sprintf("providers/all: the adapter %s is not in the list", name))
		}
	}
	return wrong
}

// adaptersDialThroughUpstream keeps adapters from sending requests of their own: that a dial goes out at most once holds
// in upstream and nowhere else.
func adaptersDialThroughUpstream(t *tree) []string {
	var wrong []string
	for _, name := range t.adapters() {
		for _, f := range t.of("providers/" + name) {
			if f.test {
				continue
			}
			for _, s := range f.uses("net/http", "Client", "Transport", "DefaultClient", "DefaultTransport", "NewRequest", "NewRequestWithContext", "Get", "Head", "Post", "PostForm") {
				wrong = append(wrong, fmt.Sprintf("%s: http.%s in an adapter: requests go out through providers/internal/upstream, which sends a dial once", t.at(s), s.Sel.Name))
			}
		}
	}
	return wrong
}
