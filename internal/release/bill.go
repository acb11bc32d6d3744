package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"runtime/debug"
	"slices"
	"strings"
)

// The bill of materials is CycloneDX 1.6 with what is known for sure: what Go wrote into the binary about what it linked.
// It has no time and no serial number, which would differ from build to build, and no graph, which a binary does not hold.
type bill struct {
	Schema     string      `json:"$schema"`
	Format     string      `json:"bomFormat"`
	Spec       string      `json:"specVersion"`
	Version    int         `json:"version"`
	Metadata   metadata    `json:"metadata"`
	Components []component `json:"components"`
}

type metadata struct {
	Component component `json:"component"`
}

type component struct {
	Type       string     `json:"type"`
	Ref        string     `json:"bom-ref"`
	Name       string     `json:"name"`
	Version    string     `json:"version"`
	Scope      string     `json:"scope,omitempty"`
	Hashes     []hash     `json:"hashes,omitempty"`
	Licenses   []licensed `json:"licenses,omitempty"`
	URL        string     `json:"purl"`
	Properties []property `json:"properties,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type licensed struct {
	License struct {
		ID string `json:"id"`
	} `json:"license"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// bill gives the bill of materials of a binary.
func (b *built) bill() ([]byte, error) {
	sum := sha256.Sum256(b.binary)
	of := purl(b.info.Main.Path, b.version) + "?goarch=" + b.arch + "&goos=" + b.system
	product := component{
		Type: "application", Ref: of, Name: "outdial", Version: b.version, URL: of,
		Hashes: []hash{{"SHA-256", hex.EncodeToString(sum[:])}}, Licenses: []licensed{{}},
	}
	product.Licenses[0].License.ID = "MIT"
	for _, s := range b.info.Settings { // -ldflags is not there: -trimpath leaves it out
		product.Properties = append(product.Properties, property{"go:build:" + s.Key, s.Value})
	}
	parts := []component{{
		Type: "library", Ref: purl("std", goVersion(b.info.GoVersion)), Name: "std", Version: goVersion(b.info.GoVersion), Scope: "required",
		URL: purl("std", goVersion(b.info.GoVersion)),
	}}
	for _, d := range b.info.Deps {
		parts = append(parts, part(d))
	}
	slices.SortFunc(parts, func(a, b component) int { return strings.Compare(a.Ref, b.Ref) })
	text, err := json.MarshalIndent(bill{
		Schema: "http://cyclonedx.org/schema/bom-1.6.schema.json", Format: "CycloneDX", Spec: "1.6", Version: 1,
		Metadata: metadata{product}, Components: parts,
	}, "", "  ")
	return append(text, '\n'), err
}

// part is a module that is linked. Its sum is that of go.sum, which is over a list of files and so no hash of anything
// that could be downloaded.
func part(d *debug.Module) component {
	if d.Replace != nil {
		d = d.Replace
	}
	c := component{Type: "library", Ref: purl(d.Path, d.Version), Name: d.Path, Version: d.Version, Scope: "required", URL: purl(d.Path, d.Version)}
	if d.Sum != "" {
		c.Properties = []property{{"go:sum", d.Sum}}
	}
	return c
}

func goVersion(s string) string {
	version, _, _ := strings.Cut(strings.TrimPrefix(s, "go"), " ")
	return version
}

func purl(path, version string) string {
	return "pkg:golang/" + path + "@" + strings.ReplaceAll(version, "+", "%2B")
}
