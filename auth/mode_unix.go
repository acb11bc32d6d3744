//go:build unix

package auth

import (
	"fmt"
	"os"
	"syscall"
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
	case info.Mode().Perm()&0o044 != 0:
		return path + " can be read by others on this machine: they see who has tokens, though not the tokens; chmod 600"
	}
	return ""
}
