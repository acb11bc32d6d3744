//go:build unix

package auth

import (
	"fmt"
	"os"
	"syscall"

	"github.com/outdial/outdial/phone"
)

// mayTrust refuses a file that somebody else could have written: who writes it makes tokens.
func mayTrust(path string, info os.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no regular file", path)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s can be written by others than its owner, who could make tokens; chmod 600", path)
	}
	return nil
}

// remark says what an operator should know of a file that can be trusted as far as its mode tells. Its owner may be another
// where it is mounted into a container.
func remark(path string, info os.FileInfo) string {
	switch s, ok := info.Sys().(*syscall.Stat_t); {
	case ok && s.Uid != 0 && int64(s.Uid) != int64(os.Getuid()):
		return path + " belongs to another user of this machine, who could make tokens"
	case info.Mode().Perm()&0o004 != 0:
		return path + " can be read by everybody on this machine: they see who has tokens, though not the tokens; chmod 600"
	}
	return ""
}

// keepOwner gives a file that takes the place of another one the owner and the group of that. Where this user may not, it fails
// if somebody could read the old one who could not read the new one. Errors: invalid.
func keepOwner(f *os.File, old os.FileInfo) error {
	was, ok := old.Sys().(*syscall.Stat_t)
	if !ok || f.Chown(int(was.Uid), int(was.Gid)) == nil {
		return nil
	}
	_ = f.Chown(-1, int(was.Gid)) // its owner may do that, with a group of theirs
	info, err := f.Stat()
	if err != nil {
		return phone.Errorf(phone.Invalid, "The tokens file cannot be changed: %v", err)
	}
	is, ok := info.Sys().(*syscall.Stat_t)
	loses := ok && (is.Uid != was.Uid && was.Uid != 0 || is.Gid != was.Gid && old.Mode().Perm()&0o040 != 0)
	if loses && old.Mode().Perm()&0o004 == 0 {
		return phone.Errorf(phone.Invalid, "The tokens file belongs to user %d and group %d, and would be yours: a server that reads it now could not any more. It is as it was; change it as its owner, or as root.", was.Uid, was.Gid)
	}
	return nil
}
