// Command release builds what a release consists of: for each platform an archive with the static binary and the licences
// of all that is linked into it, a bill of materials beside it, and the checksums of all of them.
//
// Its one idea: the same source and the same Go give the same bits, wherever and whenever they are built, so anybody can
// check a release by building it. So nothing of the machine gets in: no path, no time, no owner, no order of files.
//
// It signs and publishes nothing.
package main

import (
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// platform is what a binary is built for.
type platform struct{ system, arch string }

func (p platform) String() string { return p.system + "/" + p.arch }

// platforms are those of a release.
func platforms() []platform {
	var all []platform
	for _, system := range []string{"darwin", "linux", "windows"} {
		for _, arch := range []string{"amd64", "arm64"} {
			all = append(all, platform{system, arch})
		}
	}
	return all
}

func run(ctx context.Context, args []string, says io.Writer) error {
	f := flag.NewFlagSet("release", flag.ContinueOnError)
	f.SetOutput(says)
	version := f.String("version", "", "what the release is called, such as v1.2.3")
	source := f.String("source", ".", "the repository")
	out := f.String("out", "dist", "where the release goes; what another release left there is removed")
	only := f.String("only", "", "one platform alone, such as linux/amd64")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *version == "" || strings.ContainsAny(*version, "/\\ '\"\n") {
		return fmt.Errorf("-version %q is no name of a release", *version)
	}
	chosen := slices.DeleteFunc(platforms(), func(p platform) bool { return *only != "" && p.String() != *only })
	if len(chosen) == 0 {
		return fmt.Errorf("-only %s: there are %v", *only, platforms())
	}
	if err := os.MkdirAll(*out, 0o755); err != nil { //nolint:gosec // for everybody to read
		return err
	}
	if err := sweep(*out); err != nil {
		return err
	}
	var made []string
	for _, p := range chosen {
		b, err := build(ctx, *source, *version, p)
		if err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		files, err := b.write(ctx, *source, *out)
		if err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		made = append(made, files...)
		fmt.Fprintf(says, "%s: %.1f MB, archive %.1f MB\n", p, mega(len(b.binary)), mega(b.packed))
	}
	return writeSums(*out, made)
}

func mega(n int) float64 { return float64(n) / 1e6 }

// sweep removes an earlier release, so that its files do not stand beside the new checksums.
func sweep(out string) error {
	for _, pattern := range []string{"outdial_*.tar.gz", "outdial_*.zip", "outdial_*.cdx.json", "SHA256SUMS"} {
		old, err := filepath.Glob(filepath.Join(out, pattern))
		if err != nil {
			return err
		}
		for _, path := range old {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeSums writes SHA256SUMS as sha256sum -c reads it.
func writeSums(out string, names []string) error {
	var b strings.Builder
	for _, name := range slices.Sorted(slices.Values(names)) {
		content, err := os.ReadFile(filepath.Join(out, name))
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(content), name)
	}
	return put(filepath.Join(out, "SHA256SUMS"), []byte(b.String()))
}

// put writes a file for everybody to read, whatever the umask.
func put(path string, content []byte) error {
	if err := os.WriteFile(path, content, 0o644); err != nil { //nolint:gosec // for everybody to read
		return err
	}
	return os.Chmod(path, 0o644) //nolint:gosec // for everybody to read
}
