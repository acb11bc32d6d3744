package archtest

import (
	"fmt"
	"go/ast"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// documentsShowWhatTheySay holds the commands that documents give as proof against the tests: each `go test PACKAGES -run
// PATTERN` finds some, in each of its packages together, and each test that is named is there.
func documentsShowWhatTheySay(t *tree) []string {
	tests := t.tests()
	command := regexp.MustCompile("go test ([^`#\n]+)")
	named := regexp.MustCompile("`((?:Test|Fuzz)[A-Z]\\w*)`")
	var wrong []string
	for _, p := range slices.Sorted(maps.Keys(t.texts)) {
		if path.Ext(p) != ".md" || strings.Contains(p, "testdata/") {
			continue
		}
		for i, line := range strings.Split(strings.ReplaceAll(string(t.texts[p]), `\|`, "|"), "\n") { // as tables have it
			for _, m := range command.FindAllStringSubmatch(line, -1) {
				if problem := finds(tests, strings.Fields(m[1])); problem != "" {
					wrong = append(wrong, fmt.Sprintf("%s:%d: go test %s%s", p, i+1, m[1], problem))
				}
			}
			for _, m := range named.FindAllStringSubmatch(line, -1) {
				if !slices.ContainsFunc(slices.Collect(maps.Values(tests)), func(of []string) bool { return slices.Contains(of, m[1]) }) {
					wrong = append(wrong, fmt.Sprintf("%s:%d: there is no %s", p, i+1, m[1]))
				}
			}
		}
	}
	return wrong
}

// tests are the names of the tests by package.
func (t *tree) tests() map[string][]string {
	all := map[string][]string{}
	for _, f := range t.files {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && f.test && fn.Recv == nil && (strings.HasPrefix(fn.Name.Name, "Test") || strings.HasPrefix(fn.Name.Name, "Fuzz")) {
				all[f.pkg] = append(all[f.pkg], fn.Name.Name)
			}
		}
	}
	return all
}

// finds says what a command would not find, or nothing.
func finds(tests map[string][]string, args []string) (problem string) {
	var packages []string
	patterns := map[string]bool{}
	for i, a := range args {
		if dir, ok := strings.CutPrefix(a, "./"); ok {
			packages = append(packages, strings.TrimSuffix(dir, "/"))
		}
		if (a == "-run" || a == "-fuzz") && i+1 < len(args) {
			patterns[strings.Trim(args[i+1], `'"\`)] = true
		}
	}
	for _, p := range packages {
		if len(tests[p]) == 0 && !strings.Contains(p, "...") {
			return ": " + p + " has no tests"
		}
	}
	delete(patterns, "^$") // nothing, on purpose
	for one := range patterns {
		for alternative := range strings.SplitSeq(one, "|") {
			pattern, err := regexp.Compile(strings.Split(alternative, "/")[0])
			if err != nil {
				return ": " + err.Error()
			}
			if !slices.ContainsFunc(packages, func(p string) bool { return slices.ContainsFunc(tests[p], pattern.MatchString) }) {
				return ": no test there is called " + alternative
			}
		}
	}
	return ""
}
