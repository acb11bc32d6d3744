package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// built is one platform's part of a release.
type built struct {
	platform
	name    string // outdial_VERSION_SYSTEM_ARCH
	version string
	binary  []byte
	info    *buildinfo.BuildInfo
	packed  int // the archive's size
}

// build builds the binary for one platform.
func build(ctx context.Context, source, version string, p platform) (*built, error) {
	dir, err := os.MkdirTemp("", "outdial-release")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, p.program())
	// The linker's own id of the build would tell of the linker's inputs, which -trimpath makes equal; it is of no use and left out.
	if _, err := command(ctx, source, p.environment(), "go", "build", "-trimpath", "-buildvcs=false", "-mod=readonly",
		"-ldflags", "-s -w -buildid= -X main.release="+version, "-o", path, "./cmd/outdial"); err != nil {
		return nil, err
	}
	binary, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	info, err := buildinfo.Read(bytes.NewReader(binary))
	if err != nil {
		return nil, err
	}
	return &built{platform: p, name: fmt.Sprintf("outdial_%s_%s_%s", version, p.system, p.arch), version: version, binary: binary, info: info}, nil
}

func (p platform) program() string {
	if p.system == "windows" {
		return "outdial.exe"
	}
	return "outdial"
}

// environment is what a build depends on beside its source, set whatever the caller's is.
func (p platform) environment() []string {
	return append(os.Environ(), "CGO_ENABLED=0", "GOOS="+p.system, "GOARCH="+p.arch, "GOAMD64=v1", "GOARM64=v8.0",
		"GOEXPERIMENT=", "GOFLAGS=-trimpath", "GOWORK=off", "GO111MODULE=on")
}

// command runs one command and gives what it prints.
func command(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	c := exec.CommandContext(ctx, name, args...) //nolint:gosec // the commands are this program's own
	c.Dir, c.Env = dir, env
	var said bytes.Buffer
	c.Stderr = &said
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, args[0], err, said.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// write writes the archive and the bill of materials, and gives their names.
func (b *built) write(ctx context.Context, source, out string) ([]string, error) {
	members := []member{{b.program(), 0o755, b.binary}}
	for _, name := range []string{"LICENSE", "README.md", "CHANGELOG.md"} {
		text, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			return nil, err
		}
		members = append(members, member{name, 0o644, text})
	}
	others, err := b.licences(ctx, source)
	if err != nil {
		return nil, err
	}
	members = append(members, member{"THIRD-PARTY-LICENSES", 0o644, others})
	archive, ending, err := pack(b.platform, b.name, members)
	if err != nil {
		return nil, err
	}
	bill, err := b.bill()
	if err != nil {
		return nil, err
	}
	b.packed = len(archive)
	names := []string{b.name + ending, b.name + ".cdx.json"}
	return names, errors.Join(put(filepath.Join(out, names[0]), archive), put(filepath.Join(out, names[1]), bill))
}

// licences are the texts that the licences of what is linked want to go with it.
func (b *built) licences(ctx context.Context, source string) ([]byte, error) {
	root, err := command(ctx, source, b.environment(), "go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	dirs := []string{"Go " + b.info.GoVersion + "\t" + root}
	list := []string{"list", "-m", "-f", "{{.Path}} {{.Version}}\t{{.Dir}}"}
	for _, d := range b.info.Deps {
		list = append(list, d.Path)
	}
	found, err := command(ctx, source, b.environment(), "go", list...)
	if err != nil {
		return nil, err
	}
	dirs = append(dirs, strings.Split(found, "\n")...)
	var all bytes.Buffer
	for _, line := range dirs {
		what, dir, _ := strings.Cut(line, "\t")
		texts, err := licencesIn(strings.TrimSpace(dir))
		if err != nil {
			return nil, fmt.Errorf("the licence of %s: %w", what, err)
		}
		for _, text := range texts {
			fmt.Fprintf(&all, "%s\n%s\n\n%s\n\n\n", what, strings.Repeat("-", len(what)), bytes.TrimSpace(text))
		}
	}
	return all.Bytes(), nil
}

func licencesIn(dir string) (texts [][]byte, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	wanted := regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|copyright)([-._].*)?$`)
	entries = slices.DeleteFunc(entries, func(e os.DirEntry) bool { return !e.Type().IsRegular() || !wanted.MatchString(e.Name()) })
	for _, e := range entries { // ReadDir sorts
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		texts = append(texts, bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")))
	}
	if len(texts) == 0 {
		return nil, errors.New("there is none in its folder")
	}
	return texts, nil
}
