package archtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// nothingPointsAtAMachine forbids, in every file, the folders of one machine and the hosts of package registries: a clone
// works anywhere, and where packages come from is the business of who builds.
func nothingPointsAtAMachine(t *tree) []string {
	// Written in pieces, so that this file keeps its own rule.
	folders := regexp.MustCompile(`(^|[\s"'` + "`" + `(=:])/(ro` + `ot|wo` + `rk|ho` + `me/[a-z]\w*|Us` + `ers/[a-zA-Z]\w*)/`)
	hosts := regexp.MustCompile(`(?i)registry\.npm` + `js\.org|registry\.yarn` + `pkg\.com|proxy\.gol` + `ang\.org|sum\.gol` + `ang\.org|files\.python` + `hosted\.org|deb\.deb` + `ian\.org|archive\.ubun` + `tu\.com|artifact` + `ory|_auth` + `Token|GOPROXY\s*[:?]?=\s*\S|"resol` + `ved":\s*"http`)
	var wrong []string
	for _, p := range slices.Sorted(maps.Keys(t.texts)) {
		for i, line := range strings.Split(string(t.texts[p]), "\n") {
			if m := folders.FindString(line); m != "" {
				wrong = append(wrong, fmt.Sprintf("%s:%d: a folder of one machine: %s", p, i+1, strings.TrimSpace(m)))
			}
			if m := hosts.FindString(line); m != "" {
				wrong = append(wrong, fmt.Sprintf("%s:%d: the host or key of a registry: %s", p, i+1, m))
			}
		}
	}
	return wrong
}

// mergesAreFinished finds what git leaves where two sides of a merge differ, in files that no compiler reads.
func mergesAreFinished(t *tree) []string {
	left := regexp.MustCompile(`^(<{7}|>{7}|\|{7})( |$)`)
	var wrong []string
	for _, p := range slices.Sorted(maps.Keys(t.texts)) {
		for i, line := range strings.Split(string(t.texts[p]), "\n") {
			if left.MatchString(line) {
				wrong = append(wrong, fmt.Sprintf("%s:%d: the merge is not finished", p, i+1))
			}
		}
	}
	return wrong
}

// mostLibraries is how many go.mod may require directly.
const mostLibraries = 20

// dependenciesHaveReasons holds docs/adr/0002-dependencies.md against go.mod and the code: each library that is imported
// or required directly has its row, each row a library, and there are not many.
func dependenciesHaveReasons(t *tree) []string {
	const record = "docs/adr/0002-dependencies.md"
	text, ok := t.texts[record]
	if !ok {
		return nil
	}
	rows := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(string(text), -1) {
		rows[m[1]] = true
	}
	used := map[string]bool{}
	for _, i := range t.imports() {
		if name, _, ok := libraryOf(i.path); ok && i.outside() {
			used[name] = true
		}
	}
	var wrong []string
	for _, name := range slices.Sorted(maps.Keys(used)) {
		if !rows[name] {
			wrong = append(wrong, fmt.Sprintf("%s: %s is imported and has no row", record, name))
		}
		if !strings.Contains(string(t.texts["go.mod"]), name+" v") {
			wrong = append(wrong, fmt.Sprintf("go.mod: %s is imported and not required", name))
		}
	}
	direct := required(string(t.texts["go.mod"]))
	if len(direct) > mostLibraries {
		wrong = append(wrong, fmt.Sprintf("go.mod: %d libraries are required directly, more than %d", len(direct), mostLibraries))
	}
	for _, name := range direct {
		if !rows[name] {
			wrong = append(wrong, fmt.Sprintf("%s: %s is required directly and has no row", record, name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		if !used[name] {
			wrong = append(wrong, fmt.Sprintf("%s: nothing imports %s any more", record, name))
		}
	}
	return wrong
}

// required are the modules that a go.mod requires directly.
func required(mod string) []string {
	var all []string
	for _, m := range regexp.MustCompile(`(?m)^(?:require |\t)(\S+) v\S+(.*)$`).FindAllStringSubmatch(mod, -1) {
		if !strings.Contains(m[2], "// indirect") {
			all = append(all, m[1])
		}
	}
	return all
}

// documentsNameWhatExists holds the names in documents against the code: `ledger.Open`, `Switchboard.Place` and every linked
// file must be there.
func documentsNameWhatExists(t *tree) []string {
	names := t.exported()
	symbol := regexp.MustCompile("`([a-z]+)\\.([A-Z]\\w*(?:\\.[A-Z]\\w*)?)(?:\\(.*?\\))?`")
	member := regexp.MustCompile("`([A-Z]\\w*\\.[A-Z]\\w*)(?:\\(.*?\\))?`")
	link := regexp.MustCompile(`\]\(([^)#:\s]+)(?:#[^)]*)?\)`)
	var wrong []string
	for _, p := range slices.Sorted(maps.Keys(t.texts)) {
		if path.Ext(p) != ".md" || strings.Contains(p, "testdata/") {
			continue
		}
		for i, line := range strings.Split(string(t.texts[p]), "\n") {
			for _, m := range symbol.FindAllStringSubmatch(line, -1) {
				pkg, ours := names[m[1]]
				if ours && !pkg[m[2]] {
					wrong = append(wrong, fmt.Sprintf("%s:%d: there is no %s.%s", p, i+1, m[1], m[2]))
				}
			}
			for _, m := range member.FindAllStringSubmatch(line, -1) {
				if !slices.ContainsFunc(slices.Collect(maps.Values(names)), func(pkg map[string]bool) bool { return pkg[m[1]] }) {
					wrong = append(wrong, fmt.Sprintf("%s:%d: there is no %s", p, i+1, m[1]))
				}
			}
			for _, m := range link.FindAllStringSubmatch(line, -1) {
				if to := path.Join(path.Dir(p), m[1]); !t.exists(to) {
					wrong = append(wrong, fmt.Sprintf("%s:%d: there is no file %s", p, i+1, to))
				}
			}
		}
	}
	return wrong
}

func (t *tree) exists(p string) bool {
	if _, ok := t.texts[p]; ok {
		return true
	}
	for file := range t.texts {
		if strings.HasPrefix(file, p+"/") {
			return true
		}
	}
	return false
}

// dockerfile is what the image must be, as far as its recipe tells: built without C, static, with nothing beside the
// binary, run by nobody in particular.
func dockerfile(t *tree) []string {
	text, ok := t.texts["Dockerfile"]
	if !ok {
		return []string{"Dockerfile: there is none"}
	}
	stages := regexp.MustCompile(`(?mi)^FROM\s+`).Split(string(text), -1)
	last := stages[len(stages)-1]
	var wrong []string
	for _, want := range []struct{ in, pattern, why string }{
		{string(text), `CGO_ENABLED=0`, "the binary must be static: the image has no C library"},
		{string(text), `-trimpath`, "the same source must give the same binary"},
		{last, `^\S*distroless/static[^\s]*:nonroot`, "the last stage must be a static distroless image for a user without rights"},
		{last, `(?m)^USER\s+(nonroot|65532)`, "the image must not run as root"},
		{last, `(?m)^VOLUME\s+\["?/var/lib/outdial"?\]`, "the ledger must outlive the container"},
		{last, `OUTDIAL_DATABASE=sqlite:/var/lib/outdial/`, "the ledger must lie in the volume"},
		{last, `(?m)^ENTRYPOINT \["/[\w/]*outdial"\]`, "the image must be the program"},
		{last, `(?m)^CMD \["stdio"\]`, "without arguments it must speak over stdio"},
	} {
		if !regexp.MustCompile(want.pattern).MatchString(want.in) {
			wrong = append(wrong, "Dockerfile: "+want.why+" (looked for "+want.pattern+")")
		}
	}
	builder := regexp.MustCompile(`(?m)^FROM golang:(\d+\.\d+)\S* AS`).FindSubmatch(text)
	ours := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(t.texts["go.mod"])
	if builder == nil || ours == nil || string(builder[1]) != string(ours[1]) {
		wrong = append(wrong, fmt.Sprintf("Dockerfile: it must be built by the Go of go.mod: %q, %q", builder, ours))
	}
	if m := regexp.MustCompile(`(?mi)^(RUN|ADD)\b.*`).FindString(last); m != "" {
		wrong = append(wrong, "Dockerfile: the last stage has no shell and fetches nothing: "+m)
	}
	if regexp.MustCompile(`(?i)(_KEY|SECRET|TOKEN|PASSWORD)\w*\s*=\s*\S|^\s*ARG\s+\w*(_KEY|SECRET|TOKEN|PASSWORD)`).Match(text) {
		wrong = append(wrong, "Dockerfile: a secret in an image is public")
	}
	return wrong
}

// clientConfiguration holds mcp.json against what the server is: the names of the commands and addresses that it listens
// on, in the closed form of the schema that it names.
func clientConfiguration(t *tree) []string {
	type entry struct {
		Type    string            `json:"type"`
		Command string            `json:"command,omitempty"`
		Args    []string          `json:"args,omitempty"`
		Env     map[string]string `json:"env,omitempty"`
		Cwd     string            `json:"cwd,omitempty"`
		URL     string            `json:"url,omitempty"`
	}
	type file struct {
		Schema  string           `json:"$schema"`
		Servers map[string]entry `json:"mcpServers"`
	}
	want := file{
		Schema: "https://agent-plugins.org/schemas/1.0.0/mcp.schema.json",
		Servers: map[string]entry{
			"outdial":      {Type: "stdio", Command: "outdial", Args: []string{"stdio"}},
			"outdial-http": {Type: "streamable-http", URL: "http://127.0.0.1:8757/mcp"},
		},
	}
	text, ok := t.texts["mcp.json"]
	if !ok {
		return []string{"mcp.json: there is none"}
	}
	var got file
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(&got); err != nil {
		return []string{"mcp.json: the schema is closed: " + err.Error()}
	}
	wanted, _ := json.Marshal(want)
	if has, _ := json.Marshal(got); string(has) != string(wanted) {
		return []string{fmt.Sprintf("mcp.json: it says %s and should say %s", has, wanted)}
	}
	return nil
}

// makeKnowsItsTargets holds that a document or a script which names a make target names one that is there.
func makeKnowsItsTargets(t *tree) []string {
	targets := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^([a-z][a-z-]*):`).FindAllStringSubmatch(string(t.texts["Makefile"]), -1) {
		targets[m[1]] = true
	}
	var wrong []string
	for _, p := range slices.Sorted(maps.Keys(t.texts)) {
		if path.Ext(p) != ".md" && p != ".ci/run" {
			continue
		}
		for i, line := range strings.Split(string(t.texts[p]), "\n") {
			for _, m := range regexp.MustCompile("(?:`|^\\s*|\\$ )make ([a-z-]+)").FindAllStringSubmatch(line, -1) {
				if !targets[m[1]] {
					wrong = append(wrong, fmt.Sprintf("%s:%d: the Makefile has no target %s", p, i+1, m[1]))
				}
			}
		}
	}
	return wrong
}
