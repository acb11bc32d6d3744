package pgtest

import (
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// unprivileged starts a program as a user that Postgres accepts: it refuses root. It ends when the tests are killed.
func unprivileged() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	if os.Getuid() == 0 {
		uid, gid := somebody()
		a.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	return a
}

// give makes a folder that user's.
func give(dir string) error {
	if os.Getuid() != 0 {
		return nil
	}
	uid, gid := somebody()
	return os.Chown(dir, uid, gid)
}

// somebody is Debian's user for Postgres, else nobody.
func somebody() (uid, gid int) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uerr := strconv.Atoi(u.Uid)
		gid, gerr := strconv.Atoi(u.Gid)
		if uerr == nil && gerr == nil {
			return uid, gid
		}
	}
	return 65534, 65534
}
