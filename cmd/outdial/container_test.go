package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What the engines' mounts look like from within.
const (
	hex64  = "9f2c1e88d1c64d0c9b61d0c5c8f0e7a2b3d4c5e6f7a8b9c0d1e2f3a4b5c6d7e8"
	docker = `695 594 0:62 / / rw,relatime master:274 - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l/4Z77R4WYM6X4BLW7GXAJOAA4SJ:/var/lib/docker/overlay2/l/Z4RNRWTZKMXNQJVSRJE4P2JYHH,upperdir=/var/lib/docker/overlay2/c41d5854e43b/diff,workdir=/var/lib/docker/overlay2/c41d5854e43b/work
696 695 0:64 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
697 695 0:65 / /dev rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=755
700 697 0:63 / /dev/mqueue rw,nosuid,nodev,noexec,relatime - mqueue mqueue rw
702 695 8:1 /var/lib/docker/containers/` + hex64 + `/resolv.conf /etc/resolv.conf rw,relatime - ext4 /dev/sda1 rw
703 695 8:1 /var/lib/docker/containers/` + hex64 + `/hostname /etc/hostname rw,relatime - ext4 /dev/sda1 rw
`
	dockerNamed    = docker + "712 695 8:1 /var/lib/docker/volumes/outdial_ledger/_data /var/lib/outdial rw,relatime master:1 - ext4 /dev/sda1 rw\n"
	dockerUnnamed  = docker + "712 695 8:1 /var/lib/docker/volumes/" + hex64 + "/_data /var/lib/outdial rw,relatime master:1 - ext4 /dev/sda1 rw\n"
	dockerBind     = docker + "712 695 8:1 /srv/outdial /var/lib/outdial rw,relatime - ext4 /dev/sda1 rw,errors=remount-ro\n"
	dockerTmpfs    = docker + "712 695 0:70 / /var/lib/outdial rw,nosuid,nodev,noexec,relatime - tmpfs tmpfs rw,size=65536k\n"
	dockerDesktop  = docker + "712 695 0:77 /Volumes/op/calls /var/lib/outdial rw,relatime - fakeowner /run/host_mark/Users rw,fakeowner\n"
	dockerNear     = docker + "712 695 8:1 /srv/x /var/lib/out rw,relatime - ext4 /dev/sda1 rw\n"
	dockerAbove    = docker + "712 695 8:1 /srv/lib /var/lib rw,relatime - ext4 /dev/sda1 rw\n"
	dockerOver     = dockerNamed + "713 712 0:70 / /var/lib/outdial rw,relatime - tmpfs tmpfs rw\n"
	dockerMapper   = "100 99 253:5 /rootfs / rw,relatime - xfs /dev/mapper/docker-8:1-1234-" + hex64 + " rw,nouuid\n"
	dockerVFS      = "100 99 8:1 /var/lib/docker/vfs/dir/" + hex64 + " / rw,relatime - ext4 /dev/sda1 rw\n"
	podmanRootless = `1065 988 0:56 / / rw,relatime - fuse.fuse-overlayfs fuse-overlayfs rw,user_id=0,group_id=0,default_permissions,allow_other
1068 1065 0:60 / /run/.containerenv rw,nosuid,nodev,relatime - tmpfs tmpfs rw,size=1605320k,mode=700,uid=1000,gid=1000,inode64
`
	podmanUnnamed = podmanRootless + "1070 1065 0:34 /var/lib/containers/storage/volumes/" + hex64 + "/_data /var/lib/outdial rw,nosuid,nodev,relatime - btrfs /dev/nvme0n1p3 rw,subvol=/home\n"
	podmanNamed   = podmanRootless + "1070 1065 0:34 /var/lib/containers/storage/volumes/ledger/_data /var/lib/outdial rw,nosuid,nodev,relatime - btrfs /dev/nvme0n1p3 rw,subvol=/home\n"
	pod           = `2345 2210 0:301 / / ro,relatime master:512 - overlay overlay rw,lowerdir=/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/88/fs,upperdir=/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/91/fs,workdir=/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/91/work
2346 2345 0:304 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
2390 2345 259:1 /var/lib/kubelet/pods/1ae7c5ce-7b60-4c75-abb5-e7c001d07e46/etc-hosts /etc/hosts rw,relatime - ext4 /dev/nvme0n1p1 rw
`
	podEmptyDir = pod + "2391 2345 259:1 /var/lib/kubelet/pods/1ae7c5ce-7b60-4c75-abb5-e7c001d07e46/volumes/kubernetes.io~empty-dir/ledger /var/lib/outdial rw,relatime - ext4 /dev/nvme0n1p1 rw\n"
	podMemory   = pod + "2391 2345 0:310 / /var/lib/outdial rw,relatime - tmpfs tmpfs rw,size=7896412k,inode64\n"
	podClaim    = pod + "2391 2345 259:4 / /var/lib/outdial rw,relatime - ext4 /dev/nvme1n1 rw\n"
	podImage    = pod + "2391 2345 259:1 /var/lib/containerd/io.containerd.grpc.v1.cri/containers/" + hex64 + "/volumes/" + hex64 + " /var/lib/outdial rw,relatime - ext4 /dev/nvme0n1p1 rw\n"
	machine     = "24 1 254:1 / / rw,relatime - ext4 /dev/vda1 rw\n25 24 0:23 / /dev/shm rw,relatime - tmpfs tmpfs rw\n"
)

func TestFateOfALedger(t *testing.T) {
	const layer, memory, unnamed, emptyDir = "own layer", "in memory", "no name", "emptyDir"
	for name, tt := range map[string]struct{ mounts, dir, want string }{
		"docker, no volume":              {docker, "/var/lib/outdial", layer},
		"docker, a named volume":         {dockerNamed, "/var/lib/outdial", ""},
		"docker, a folder of a volume":   {dockerNamed, "/var/lib/outdial/a/b", ""},
		"docker, a volume elsewhere":     {dockerNamed, "/nonroot/.local/state/outdial", layer},
		"docker, a volume without name":  {dockerUnnamed, "/var/lib/outdial", unnamed},
		"docker, a folder of the host":   {dockerBind, "/var/lib/outdial", ""},
		"docker, tmpfs":                  {dockerTmpfs, "/var/lib/outdial", memory},
		"docker on macOS":                {dockerDesktop, "/var/lib/outdial", ""},
		"docker, a name that begins so":  {dockerNear, "/var/lib/outdial", layer},
		"docker, a volume further up":    {dockerAbove, "/var/lib/outdial", ""},
		"docker, tmpfs over a volume":    {dockerOver, "/var/lib/outdial", memory},
		"docker on the device mapper":    {dockerMapper, "/var/lib/outdial", layer},
		"docker without layers":          {dockerVFS, "/var/lib/outdial", layer},
		"podman, no volume":              {podmanRootless, "/var/lib/outdial", layer},
		"podman, a volume without name":  {podmanUnnamed, "/var/lib/outdial", unnamed},
		"podman, a named volume":         {podmanNamed, "/var/lib/outdial", ""},
		"a pod, no volume":               {pod, "/var/lib/outdial", layer},
		"a pod, emptyDir":                {podEmptyDir, "/var/lib/outdial", emptyDir},
		"a pod, emptyDir in memory":      {podMemory, "/var/lib/outdial", memory},
		"a pod, a claim":                 {podClaim, "/var/lib/outdial", ""},
		"a pod, the image's volume":      {podImage, "/var/lib/outdial", unnamed},
		"a machine of its own":           {machine, "/var/lib/outdial", ""},
		"nothing to see":                 {"", "/var/lib/outdial", ""},
		"lines that are none":            {"1 2 3\n - \n- x y\n", "/var/lib/outdial", ""},
		"a mount with a space":           {docker + `9 8 8:1 /x /odd\040mount rw - ext4 /dev/sda1 rw` + "\n", "/odd mount/x", ""},
		"a mount with a strange escape":  {docker + `9 8 8:1 /x /odd\777 rw - ext4 /dev/sda1 rw` + "\n", "/odd", layer},
		"the folder itself is the layer": {docker, "/", layer},
	} {
		t.Run(name, func(t *testing.T) {
			got := fate(tt.mounts, tt.dir)
			if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("%q, not %q", got, tt.want)
			}
		})
	}
}

// Only a container's file is warned of, where it really lies.
func TestPassingLedgers(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if at, err := filepath.EvalSymlinks(dir); err != nil {
		t.Fatal(err)
	} else {
		dir = at
	}
	volume := docker + "712 695 8:1 /srv/calls " + dir + " rw,relatime - ext4 /dev/sda1 rw\n"
	for name, tt := range map[string]struct {
		database string
		around   surroundings
		warns    bool
	}{
		"in the layer":                   {"sqlite:/nowhere/at/all/outdial.db", surroundings{true, volume}, true},
		"on no container":                {"sqlite:/nowhere/at/all/outdial.db", surroundings{false, volume}, false},
		"in Postgres":                    {"postgres://x/y", surroundings{true, volume}, false},
		"on a volume":                    {"sqlite:" + dir + "/outdial.db", surroundings{true, volume}, false},
		"behind a link":                  {"sqlite:" + link + "/outdial.db", surroundings{true, volume}, false},
		"in a folder that will be there": {"sqlite:" + link + "/new/outdial.db", surroundings{true, volume}, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := &program{parts: parts{lookAround: func() surroundings { return tt.around }}}
			values := []value{{Value: tt.database}}
			values[0].Name = "database"
			if got := p.passing(values); (got != "") != tt.warns {
				t.Errorf("%q", got)
			}
		})
	}
}

// The warning is on stderr when a server starts, and a line of doctor's, which is no failure.
func TestAPassingLedgerIsWarnedOf(t *testing.T) {
	env := []string{"HOME=" + t.TempDir()}
	for _, container := range []bool{true, false} {
		with := parts{specs: fast(speed), lookAround: func() surroundings { return surroundings{container, docker} }}
		for _, args := range [][]string{{"stdio"}, {"doctor"}, {"doctor", "--json"}} {
			var out, errs bytes.Buffer
			if exit := with.run(t.Context(), args, env, strings.NewReader(""), &out, &errs); exit != 0 {
				t.Fatalf("%v: exit code %d: %s", args, exit, errs.String())
			}
			if strings.Contains(out.String()+errs.String(), "this container's own layer") != container {
				t.Errorf("%v: %s%s", args, out.String(), errs.String())
			}
			if args[0] == "stdio" && out.Len() > 0 {
				t.Errorf("on the protocol's stdout: %s", out.String())
			}
			if len(args) == 1 {
				continue
			}
			var said struct{ Warnings []string }
			if err := json.Unmarshal(out.Bytes(), &said); err != nil || (len(said.Warnings) == 1) != container {
				t.Errorf("%v, %v", said, err)
			}
		}
	}
	var errs bytes.Buffer
	with := parts{specs: fast(speed), lookAround: func() surroundings { return surroundings{true, docker} }}
	if exit := with.run(t.Context(), []string{"list"}, env, strings.NewReader(""), io.Discard, &errs); exit != 0 || errs.Len() > 0 {
		t.Errorf("a command that serves nobody: exit code %d, %s", exit, errs.String())
	}
}
