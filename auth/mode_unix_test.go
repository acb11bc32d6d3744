//go:build unix

package auth_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/outdial/outdial/auth"
)

// A server that runs as somebody else reads the file after it was changed as it did before.
func TestTokensFileKeepsItsOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give a file to another user")
	}
	path := filepath.Join(t.TempDir(), "tokens")
	_, ann := made(t, path, "ann")
	for _, whose := range []struct {
		uid, gid int
		mode     os.FileMode
	}{{0, 65534, 0o640}, {65534, 65534, 0o400}} {
		if err := os.Chown(path, whose.uid, whose.gid); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, whose.mode); err != nil {
			t.Fatal(err)
		}
		made(t, path, "bob")
		if _, err := auth.Revoke(path, ann.Print()); err != nil {
			t.Fatal(err)
		}
		_, ann = made(t, path, "ann")
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if is := info.Sys().(*syscall.Stat_t); int(is.Uid) != whose.uid || int(is.Gid) != whose.gid || info.Mode().Perm() != whose.mode {
			t.Errorf("%+v: it belongs to %d and %d now, %v", whose, is.Uid, is.Gid, info.Mode())
		}
	}
}
