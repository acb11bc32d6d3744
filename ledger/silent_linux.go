package ledger

import (
	"strings"
	"syscall"
)

// giveUpSilent has a connection fail whose other side does not acknowledge what was sent to it: without it the kernel goes
// on for a quarter of an hour.
func giveUpSilent(network, _ string, c syscall.RawConn) (err error) {
	const tcpUserTimeout = 0x12
	if !strings.HasPrefix(network, "tcp") {
		return nil
	}
	cerr := c.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(silentFor.Milliseconds()))
	})
	if cerr != nil {
		return cerr
	}
	return err
}
