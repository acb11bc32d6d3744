package archtest

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// module is the path under which the packages here import each other.
const module = "github.com/outdial/outdial"

// tree is the repository: every file that belongs to it, those in Go parsed.
type tree struct {
	texts map[string][]byte // by path
	files []*goFile         // outside testdata, by path
	fset  *token.FileSet
	wrong []string // what could not be read or parsed
}

// goFile is one file of Go.
type goFile struct {
	*ast.File
	path string
	pkg  string // its directory
	test bool
}

// read reads the repository at the root of fsys.
func read(fsys fs.FS) (*tree, error) {
	t := &tree{texts: map[string][]byte{}, fset: token.NewFileSet()}
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if p != "." && isForeign(d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if isForeign(d.Name()) || !d.Type().IsRegular() {
			return nil
		}
		text, err := fs.ReadFile(fsys, p)
		if err != nil {
			return err
		}
		if bytes.IndexByte(text, 0) < 0 {
			t.texts[p] = text
			t.parse(p, text)
		}
		return nil
	})
	return t, err
}

// isForeign says whether a file or folder is none of the repository's: what .gitignore names, and git's own.
func isForeign(name string) bool {
	switch name {
	case ".git", ".tools", "bin", "dist", "node_modules":
		return true
	}
	return strings.HasSuffix(name, ".db") || strings.HasSuffix(name, ".db-wal") || strings.HasSuffix(name, ".db-shm")
}

func (t *tree) parse(p string, text []byte) {
	if path.Ext(p) != ".go" || slices.Contains(strings.Split(p, "/"), "testdata") {
		return
	}
	parsed, err := parser.ParseFile(t.fset, p, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.wrong = append(t.wrong, err.Error())
		return
	}
	t.files = append(t.files, &goFile{File: parsed, path: p, pkg: path.Dir(p), test: strings.HasSuffix(p, "_test.go")})
}

// packages are the folders that hold Go, sorted.
func (t *tree) packages() []string {
	var all []string
	for _, f := range t.files {
		all = append(all, f.pkg)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// of are a package's files.
func (t *tree) of(pkg string) []*goFile {
	return slices.DeleteFunc(slices.Clone(t.files), func(f *goFile) bool { return f.pkg != pkg })
}

// at names a place in a file, as compilers do.
func (t *tree) at(n ast.Node) string {
	p := t.fset.Position(n.Pos())
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

// imported is one import: where it stands and of what.
type imported struct {
	at, path string
	file     *goFile
}

func (t *tree) imports() []imported {
	var all []imported
	for _, f := range t.files {
		for _, i := range f.Imports {
			all = append(all, imported{at: t.at(i), path: strings.Trim(i.Path.Value, "`\""), file: f})
		}
	}
	return all
}

// ours is the folder of an imported package of this module.
func (i imported) ours() (string, bool) {
	if i.path == module {
		return ".", true
	}
	return strings.CutPrefix(i.path, module+"/")
}

// outside says whether the import is of a library, neither ours nor the standard one.
func (i imported) outside() bool {
	first, _, _ := strings.Cut(i.path, "/")
	_, ours := i.ours()
	return !ours && strings.Contains(first, ".")
}

// uses are the places at which a file names pkg.name of an imported package, such as time.Sleep.
func (f *goFile) uses(importPath string, names ...string) []*ast.SelectorExpr {
	local := ""
	for _, i := range f.Imports {
		if strings.Trim(i.Path.Value, "`\"") == importPath {
			local = path.Base(importPath)
			if i.Name != nil {
				local = i.Name.Name
			}
		}
	}
	if local == "" {
		return nil
	}
	var all []*ast.SelectorExpr
	ast.Inspect(f.File, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == local && slices.Contains(names, s.Sel.Name) {
				all = append(all, s)
			}
		}
		return true
	})
	return all
}

// exported gives, for each package's name, the names that may be said of it: "Place", and "Provider.Place" for methods
// and fields. Packages of one name share theirs.
func (t *tree) exported() map[string]map[string]bool {
	all := map[string]map[string]bool{}
	for _, f := range t.files {
		if f.test || f.Name.Name == "main" {
			continue
		}
		names := all[f.Name.Name]
		if names == nil {
			names = map[string]bool{}
			all[f.Name.Name] = names
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				names[receiver(d)+d.Name.Name] = true
			case *ast.GenDecl:
				for _, s := range d.Specs {
					declared(s, names)
				}
			}
		}
	}
	return all
}

// receiver is the type that a method belongs to, and a dot; nothing for a function.
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	x := d.Recv.List[0].Type
	if star, ok := x.(*ast.StarExpr); ok {
		x = star.X
	}
	if generic, ok := x.(*ast.IndexExpr); ok {
		x = generic.X
	}
	if id, ok := x.(*ast.Ident); ok {
		return id.Name + "."
	}
	return ""
}

func declared(s ast.Spec, names map[string]bool) {
	switch s := s.(type) {
	case *ast.ValueSpec:
		for _, n := range s.Names {
			names[n.Name] = true
		}
	case *ast.TypeSpec:
		names[s.Name.Name] = true
		var fields *ast.FieldList
		switch x := s.Type.(type) {
		case *ast.StructType:
			fields = x.Fields
		case *ast.InterfaceType:
			fields = x.Methods
		default:
			return
		}
		for _, f := range fields.List {
			for _, n := range f.Names {
				names[s.Name.Name+"."+n.Name] = true
			}
		}
	}
}
