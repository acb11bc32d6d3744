package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

var whole = flag.Bool("whole", false, "build all platforms twice, the second time with an empty cache, in place of one")

// TestMain lets the test binary stand for the program, in a process of its own.
func TestMain(m *testing.M) {
	if args := os.Getenv("OUTDIAL_TEST_RELEASE"); args != "" {
		if err := run(context.Background(), strings.Split(args, "\n"), os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

const release = "v0.0.1-test"

// The same source gives the same release: in another folder, with other times and rights, in another time zone.
func TestTheSameSourceGivesTheSameBits(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("it sets a umask by sh")
	}
	first := releaseOf(t, "a", time.Unix(1, 0), 0o755, "TZ=UTC")
	here := []string{"TZ=Asia/Shanghai", "LC_ALL=C", "USER=somebody"}
	if *whole {
		here = append(here, "GOCACHE="+t.TempDir())
	}
	second := releaseOf(t, "another/folder", time.Now(), 0o700, here...)
	if want := 2*len(chosen()) + 1; len(first) != want {
		t.Errorf("%d files, not %d", len(first), want)
	}
	for name := range first {
		if !bytes.Equal(first[name], second[name]) {
			t.Errorf("%s differs: %d and %d bytes", name, len(first[name]), len(second[name]))
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(first)), slices.Sorted(maps.Keys(second))); diff != "" {
		t.Error(diff)
	}
	for _, p := range chosen() {
		t.Run(p.system+"-"+p.arch, func(t *testing.T) { examine(t, p, first) })
	}
}

func chosen() []platform {
	if *whole {
		return platforms()
	}
	return []platform{{runtime.GOOS, runtime.GOARCH}}
}

// releaseOf builds a copy of the repository in a process of its own, and gives the files of the release.
func releaseOf(t *testing.T, dir string, of time.Time, mode fs.FileMode, env ...string) map[string][]byte {
	t.Helper()
	base := t.TempDir()
	source, out := filepath.Join(base, dir), filepath.Join(base, "out")
	copyTree(t, "../..", source, of, mode)
	args := []string{"-version", release, "-source", source, "-out", out}
	if !*whole {
		args = append(args, "-only", chosen()[0].String())
	}
	c := exec.CommandContext(t.Context(), "sh", "-c", fmt.Sprintf("umask %03o; exec \"$0\"", 0o777&^mode), os.Args[0])
	c.Env = append(append(os.Environ(), env...), "OUTDIAL_TEST_RELEASE="+strings.Join(args, "\n"))
	if said, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	files := map[string][]byte{}
	entries, err := os.ReadDir(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if files[e.Name()], err = os.ReadFile(filepath.Join(out, e.Name())); err != nil {
			t.Fatal(err)
		}
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o644 {
			t.Errorf("%s has the rights %v", e.Name(), info.Mode())
		}
	}
	return files
}

func copyTree(t *testing.T, from, to string, of time.Time, mode fs.FileMode) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch d.Name() {
		case ".git", ".tools", "bin", "dist", "node_modules", "testdata":
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil // .git is a file in a worktree
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), mode)
		}
		if !d.Type().IsRegular() {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, rel), b, mode&0o666); err != nil {
			return err
		}
		return os.Chtimes(filepath.Join(to, rel), of, of)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// examine holds one platform's part of a release against what it must be.
func examine(t *testing.T, p platform, files map[string][]byte) {
	name := "outdial_" + release + "_" + p.system + "_" + p.arch
	members := unpack(t, p, name, files)
	want := []string{p.program(), "LICENSE", "README.md", "CHANGELOG.md", "THIRD-PARTY-LICENSES"}
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(members))); diff != "" {
		t.Error(diff)
	}
	binary := members[p.program()]
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	for _, trace := range []string{filepath.Dir(filepath.Dir(t.TempDir())) + "/", home + "/", runtime.GOROOT() + "/src"} { //nolint:staticcheck // where Go is here is what must not be there
		if bytes.Contains(binary, []byte(trace)) {
			t.Errorf("the binary tells of %s", trace)
		}
	}
	if p.system == "linux" {
		f, err := elf.NewFile(bytes.NewReader(binary))
		if err != nil {
			t.Fatal(err)
		}
		if needs, err := f.ImportedLibraries(); len(needs) > 0 || slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
			t.Errorf("it is not static: it needs %v, %v", needs, err)
		}
	}
	const mega, most = 1 << 20, 33 << 20 // an image of 35 MB holds 2 MB beside it
	if len(binary) > most {
		t.Errorf("the binary has %d MiB", len(binary)/mega)
	}
	linked := modules(t, p, binary)
	billed := bills(t, files[name+".cdx.json"])
	if diff := cmp.Diff(linked, billed); diff != "" {
		t.Errorf("linked and billed: %s", diff)
	}
	for _, m := range linked {
		path, _, _ := strings.Cut(m, " ")
		if path != "std" && !bytes.Contains(members["THIRD-PARTY-LICENSES"], []byte("\n"+m+"\n---")) {
			t.Errorf("no licence of %s", m)
		}
	}
	if !bytes.Contains(members["THIRD-PARTY-LICENSES"], []byte("Go go1.")) {
		t.Error("no licence of Go")
	}
}

// unpack checks an archive against the sums, opens it, and gives its members.
func unpack(t *testing.T, p platform, name string, files map[string][]byte) map[string][]byte {
	t.Helper()
	members := map[string][]byte{}
	add := func(path string, at time.Time, mode fs.FileMode, r io.Reader) {
		rest, ok := strings.CutPrefix(path, name+"/")
		executable := mode.Perm() == 0o755
		if !ok || !at.Equal(ago()) || executable != (rest == p.program()) || mode.Perm()|0o111 != 0o755 {
			t.Errorf("%s, of %v, %v", path, at, mode)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		members[rest] = b
	}
	archive := name + ".tar.gz"
	if p.system == "windows" {
		archive = name + ".zip"
		z, err := zip.NewReader(bytes.NewReader(files[archive]), int64(len(files[archive])))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range z.File {
			r, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			add(f.Name, f.Modified, f.Mode(), r)
			_ = r.Close()
		}
	} else {
		z, err := gzip.NewReader(bytes.NewReader(files[archive]))
		if err != nil {
			t.Fatal(err)
		}
		if !z.ModTime.IsZero() || z.Name != "" {
			t.Errorf("the archive tells of %v and %q", z.ModTime, z.Name)
		}
		for r := tar.NewReader(z); ; {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Gname != "" {
				t.Errorf("%s belongs to %d %s", h.Name, h.Uid, h.Uname)
			}
			add(h.Name, h.ModTime, h.FileInfo().Mode(), r)
		}
	}
	sums := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(sums, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if tool, err := exec.LookPath("sha256sum"); err == nil {
		c := exec.CommandContext(t.Context(), tool, "--strict", "-c", "SHA256SUMS")
		c.Dir = sums
		if said, err := c.CombinedOutput(); err != nil || strings.Count(string(said), ": OK") != len(files)-1 {
			t.Errorf("%v: %s", err, said)
		}
	}
	return members
}

// modules are what Go's own tool says is linked, and Go itself.
func modules(t *testing.T, p platform, binary []byte) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), p.program())
	if err := os.WriteFile(path, binary, 0o700); err != nil { // go version reads only what can be run
		t.Fatal(err)
	}
	said, err := exec.CommandContext(t.Context(), "go", "version", "-m", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	first, rest, _ := strings.Cut(string(said), "\n")
	all := []string{"std " + strings.TrimPrefix(first[strings.LastIndex(first, " ")+1:], "go")}
	for line := range strings.SplitSeq(rest, "\n") {
		if f := strings.Fields(line); len(f) >= 3 && f[0] == "dep" {
			all = append(all, f[1]+" "+f[2])
		}
	}
	if len(all) < 10 {
		t.Fatalf("go version -m says %s", said)
	}
	slices.Sort(all)
	return all
}

// bills are the parts that a bill of materials lists.
func bills(t *testing.T, text []byte) []string {
	t.Helper()
	var b struct {
		BOMFormat, SpecVersion, SerialNumber string
		Metadata                             struct {
			Timestamp string
			Component struct{ Version, Purl string }
		}
		Components []struct{ Name, Version, Purl string }
	}
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatal(err)
	}
	if b.BOMFormat != "CycloneDX" || b.SpecVersion != "1.6" || b.Metadata.Component.Version != release || b.Metadata.Timestamp != "" || b.SerialNumber != "" {
		t.Errorf("%+v", b)
	}
	var all []string
	for _, c := range b.Components {
		all = append(all, c.Name+" "+c.Version)
		if c.Purl != "pkg:golang/"+c.Name+"@"+strings.ReplaceAll(c.Version, "+", "%2B") {
			t.Errorf("%s %s is called %s", c.Name, c.Version, c.Purl)
		}
	}
	slices.Sort(all)
	return all
}

func TestWhatIsNoRelease(t *testing.T) {
	for _, args := range [][]string{{}, {"-version", "a/b"}, {"-version", "v1", "-only", "plan9/386"}, {"-version", "v1", "-source", t.TempDir(), "-only", "linux/amd64"}} {
		if err := run(t.Context(), append(args, "-out", t.TempDir()), io.Discard); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}
