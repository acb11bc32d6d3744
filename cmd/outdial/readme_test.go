package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/outdial/outdial/providers"
	"github.com/outdial/outdial/providers/all"
)

var update = flag.Bool("update", false, "write what is compared anew: the README's table of settings, the conversations in testdata/wire")

// The README's table is made from the settings themselves.
func TestReadmeSettings(t *testing.T) {
	var table strings.Builder
	table.WriteString("\n| variable | in outdial.toml | default | |\n|---|---|---|---|\n")
	settingsFrom(all.Specs(), nil).each(func(owner string, s providers.Setting) {
		name := s.Name
		if owner != "" {
			name = "[" + owner + "] " + name
		}
		byDefault := s.Default
		if s.Name == "database" {
			byDefault = "`outdial.db` in the user's state directory"
		} else if byDefault != "" {
			byDefault = "`" + byDefault + "`"
		}
		fmt.Fprintf(&table, "| `%s` | `%s` | %s | %s |\n", s.Env, name, byDefault, s.Help)
	})
	table.WriteString("\n")

	path := filepath.Join("..", "..", "README.md")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- settings -->\n", "<!-- /settings -->"
	head, rest, ok := strings.Cut(string(raw), begin)
	have, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatal("the README has no place for the settings")
	}
	if *update {
		if err := os.WriteFile(path, []byte(head+begin+table.String()+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(table.String(), have); diff != "" {
		t.Errorf("the README's settings are not those of the program (go test ./cmd/outdial -update writes them):\n%s", diff)
	}
}
