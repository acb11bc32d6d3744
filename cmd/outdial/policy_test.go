package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/outdial/outdial/guard"
)

// docs/policy.md holds the guard's own tables.
func TestPolicyTables(t *testing.T) {
	settings := map[string]guard.Setting{}
	decided := strings.Builder{}
	decided.WriteString("\n| variable | default | |\n|---|---|---|\n")
	for _, s := range guard.Settings() {
		settings[s.Name] = s
		fmt.Fprintf(&decided, "| `%s` | %s | %s |\n", s.Env(), byDefault(s), s.Help)
	}
	judged := strings.Builder{}
	judged.WriteString("\n| # | code | refuses | settings | lifted by |\n|---|---|---|---|---|\n")
	for _, r := range guard.Rules() {
		var named []string
		for _, name := range r.Settings {
			s, ok := settings[name]
			if !ok {
				t.Errorf("rule %d names the setting %q, which there is not", r.Number, name)
			}
			named = append(named, strings.TrimSpace(fmt.Sprintf("`%s` %s", s.Env(), byDefault(s))))
		}
		fmt.Fprintf(&judged, "| %d | `%s` | %s | %s | %s |\n", r.Number, r.Code, r.Refuses, strings.Join(named, "; "), r.Lifted)
	}

	path := filepath.Join("..", "..", "docs", "policy.md")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for name, table := range map[string]string{"rules": judged.String() + "\n", "settings": decided.String() + "\n"} {
		begin, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->"
		head, rest, ok := strings.Cut(text, begin)
		have, tail, closed := strings.Cut(rest, end)
		if !ok || !closed {
			t.Fatalf("docs/policy.md has no place for the %s", name)
		}
		if diff := cmp.Diff(table, have); diff != "" && !*update {
			t.Errorf("the %s in docs/policy.md are not the guard's (go test ./cmd/outdial -update writes them):\n%s", name, diff)
		}
		text = head + begin + table + end + tail
	}
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func byDefault(s guard.Setting) string {
	if s.Default == "" {
		return ""
	}
	return "`" + s.Default + "`"
}

// Every code that a refusal can carry is explained, and so are the reasons that stand in no table.
func TestPolicyNamesEveryCode(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "..", "docs", "policy.md"))
	if err != nil {
		t.Fatal(err)
	}
	codes := []string{"guard_fault", "too_long"}
	for _, r := range guard.Rules() {
		codes = append(codes, r.Code)
		if !strings.Contains(string(raw), fmt.Sprintf("\n| %d | `%s` |", r.Number, r.Code)) {
			t.Errorf("rule %d has no row", r.Number)
		}
	}
	for _, code := range codes {
		if !strings.Contains(string(raw), "`"+code+"`") {
			t.Errorf("docs/policy.md says nothing of %s", code)
		}
	}
}

// What a rule refuses in short is a phrase by itself.
func TestPolicyInShort(t *testing.T) {
	for of, want := range map[string]string{
		"a, b (c: d; e), f: g": "a, b (c: d; e), f",
		"a at 09:00; b":        "a at 09:00",
		"a. B":                 "a",
		"a":                    "a",
	} {
		if got := inShort(of); got != want {
			t.Errorf("%q is %q in short", of, got)
		}
	}
	for _, r := range guard.Rules() {
		if s := inShort(r.Refuses); s == "" || strings.Count(s, "(") != strings.Count(s, ")") {
			t.Errorf("rule %d is %q in short", r.Number, s)
		}
	}
}
