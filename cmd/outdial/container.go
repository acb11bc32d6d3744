package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// surroundings is what a process can see of the container that it runs in.
type surroundings struct {
	container bool
	mounts    string // /proc/self/mountinfo
}

// lookAround looks at the files and variables by which the engines make themselves known.
func (s *settings) lookAround() surroundings {
	if runtime.GOOS != "linux" {
		return surroundings{}
	}
	exists := func(name string) bool {
		_, err := os.Stat(name)
		return err == nil
	}
	text := func(name string) string {
		b, _ := os.ReadFile(name) // of /proc; what cannot be read tells nothing
		return string(b)
	}
	groups := regexp.MustCompile(`docker|kubepods|containerd|libpod|crio-|/lxc/`)
	return surroundings{
		container: exists("/.dockerenv") || exists("/run/.containerenv") || s.env["KUBERNETES_SERVICE_HOST"] != "" || s.env["container"] != "" ||
			groups.MatchString(text("/proc/self/cgroup")),
		mounts: text("/proc/self/mountinfo"),
	}
}

// passing warns of a ledger that is gone when its container is; empty where there is nothing to say. What is not known, such
// as whether somebody removes a volume with its container, is no warning.
func (p *program) passing(values []value) string {
	file, isFile := strings.CutPrefix(valueOf(values, "", "database"), "sqlite:")
	look := p.lookAround
	if look == nil {
		look = p.settings.lookAround
	}
	around := look()
	if !isFile || !around.container {
		return ""
	}
	dir := filepath.Dir(file)
	why := fate(around.mounts, resolved(dir))
	if why == "" {
		return ""
	}
	return fmt.Sprintf("The ledger in %s %s Then every call, limit and do-not-call entry is forgotten, and a request that comes again dials again. Mount a volume with a name of its own there, or use postgres:.", dir, why)
}

// resolved is a folder without symbolic links, as far as it exists.
func resolved(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	for up, below := dir, ""; ; up, below = filepath.Dir(up), filepath.Join(filepath.Base(up), below) {
		if at, err := filepath.EvalSymlinks(up); err == nil {
			return filepath.Join(at, below)
		}
		if up == filepath.Dir(up) {
			return dir
		}
	}
}

// mount is one line of /proc/self/mountinfo.
type mount struct {
	root   string // which folder of the file system is mounted
	point  string // where
	kind   string // of file system
	source string
}

// fate says how a folder of a container passes away, by its mountinfo; empty if it outlives the container, or if that
// cannot be known.
func fate(mountinfo, dir string) string {
	m, ok := mountOf(mountinfo, dir)
	engine := regexp.MustCompile(`(^|/)(docker|containers|containerd|lxc)(/|-)`) // where an engine keeps the layers
	unnamed := regexp.MustCompile(`/volumes/[0-9a-f]{64}/_data(/|$)|/containers/[0-9a-f]{64}/volumes/[0-9a-f]+(/|$)`)
	switch {
	case !ok:
		return ""
	case m.kind == "tmpfs" || m.kind == "ramfs":
		return "lies in memory (" + m.point + " is " + m.kind + "): it is gone when the container stops."
	case strings.Contains(m.root, "/volumes/kubernetes.io~empty-dir/"):
		return "lies in an emptyDir: it outlives a restart of the container, and is gone when the pod is deleted or moved."
	case unnamed.MatchString(m.root):
		return "lies in a volume that has no name: the next container begins with an empty one, and with --rm it is gone at once."
	case m.point != "/":
		return ""
	case slices.Contains([]string{"overlay", "aufs", "fuse.fuse-overlayfs"}, m.kind), engine.MatchString(m.root), engine.MatchString(m.source):
		return "lies in this container's own layer, on no volume: it is gone when the container is removed or made anew."
	}
	return ""
}

// mountOf is what is mounted over a folder: the deepest mount, and of several at one place the last.
func mountOf(mountinfo, dir string) (found mount, ok bool) {
	for line := range strings.Lines(mountinfo) {
		before, after, cut := strings.Cut(line, " - ")
		first, last := strings.Fields(before), strings.Fields(after)
		if !cut || len(first) < 6 || len(last) < 2 {
			continue
		}
		m := mount{root: unescaped(first[3]), point: path.Clean(unescaped(first[4])), kind: last[0], source: unescaped(last[1])}
		covers := m.point == "/" || dir == m.point || strings.HasPrefix(dir, m.point+"/")
		if covers && len(m.point) >= len(found.point) {
			found, ok = m, true
		}
	}
	return found, ok
}

// unescaped undoes what the kernel does to spaces, tabs, line ends and backslashes.
func unescaped(s string) string {
	return regexp.MustCompile(`\\[0-7]{3}`).ReplaceAllStringFunc(s, func(octal string) string {
		n, err := strconv.ParseUint(octal[1:], 8, 8)
		if err != nil {
			return octal
		}
		return string([]byte{byte(n)})
	})
}
