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
	if s, ok := info.Sys().(*syscall.Stat_t); ok && s.Uid != 0 && int64(s.Uid) != int64(os.Getuid()) {
		return fmt.Errorf("%s belongs to another user, who could make tokens", path)
	}
	return nil
}

func othersRead(info os.FileInfo) bool { return info.Mode().Perm()&0o044 != 0 }
