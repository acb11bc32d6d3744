package ledger

import (
	"fmt"
	"os"
	"syscall"
)

// onLocalDisk refuses a file on a network file system: SQLite's locks and its shared memory do not hold there.
func onLocalDisk(path string) error {
	const fuse = 0x65735546
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return nil //nolint:nilerr // what cannot be known is not refused
	}
	name := networkDisk(int64(s.Type)) //nolint:unconvert // it has another size elsewhere
	if uint32(s.Type) == fuse {
		name = carriedBy(path)
	}
	if name != "" {
		return refuseNetwork(name, path)
	}
	return nil
}

func carriedBy(path string) string {
	var s syscall.Stat_t
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || syscall.Stat(path, &s) != nil {
		return ""
	}
	d := uint64(s.Dev) //nolint:unconvert // it has another size elsewhere
	return userDisk(string(mounts), fmt.Sprintf("%d:%d", d>>8&0xfff|d>>32&^0xfff, d&0xff|d>>12&^0xff))
}
