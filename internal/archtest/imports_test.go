package archtest

import (
	"fmt"
	"slices"
	"strings"
)

// importsGoDown holds every import of a package of ours against the house.
func importsGoDown(t *tree) []string {
	var wrong []string
	for _, pkg := range t.packages() {
		if _, ok := placeOf(pkg); !ok {
			wrong = append(wrong, fmt.Sprintf("%s: this package has no place in the house; give it a row in internal/archtest/house_test.go, with its reason", pkg))
		}
	}
	for _, i := range t.imports() {
		to, ours := i.ours()
		from, known := placeOf(i.file.pkg)
		if !ours || !known || to == i.file.pkg || covers(from.may, to) || i.file.test && covers(from.tests, to) {
			continue
		}
		wrong = append(wrong, fmt.Sprintf("%s: %s may not import %s: %s", i.at, i.file.pkg, to, from.why))
	}
	return wrong
}

// covers says whether a package is in a list, in which "a/*" is every package right below a, and "*" every one.
func covers(list []string, pkg string) bool {
	return slices.ContainsFunc(list, func(p string) bool {
		below, wild := strings.CutSuffix(p, anything)
		if !wild {
			return p == pkg
		}
		rest, ok := strings.CutPrefix(pkg, below)
		return ok && (below == "" || !strings.Contains(rest, "/"))
	})
}

// librariesAreConfined keeps each library from outside to the packages that need it.
func librariesAreConfined(t *tree) []string {
	var wrong []string
	for _, i := range t.imports() {
		if !i.outside() {
			continue
		}
		name, l, ok := libraryOf(i.path)
		switch {
		case !ok:
			wrong = append(wrong, fmt.Sprintf("%s: %s is new: a dependency needs its row in internal/archtest/house_test.go and its reason in docs/adr/0002-dependencies.md", i.at, i.path))
		case l.tests && (i.file.test || i.file.pkg == "providers/providertest"), covers(l.in, i.file.pkg), i.file.test && covers(l.inTests, i.file.pkg):
		case l.tests:
			wrong = append(wrong, fmt.Sprintf("%s: %s is for tests: %s", i.at, name, l.why))
		default:
			wrong = append(wrong, fmt.Sprintf("%s: %s may be imported by %s alone: %s", i.at, name, strings.Join(l.in, ", "), l.why))
		}
	}
	return wrong
}

// standardsAreKept keeps parts of the standard library out of where they do not belong.
func standardsAreKept(t *tree) []string {
	var wrong []string
	for _, i := range t.imports() {
		for _, s := range standards() {
			if !i.file.test && slices.Contains(s.banned, i.path) && covers(s.from, i.file.pkg) && !covers(s.except, i.file.pkg) {
				wrong = append(wrong, fmt.Sprintf("%s: %s may not import %s: %s", i.at, i.file.pkg, i.path, s.why))
			}
		}
	}
	return wrong
}
