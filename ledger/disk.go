package ledger

import (
	"slices"
	"strings"

	"github.com/outdial/outdial/phone"
)

// networkDisk names the network file system that a kernel's number stands for; empty if it is none. 9P is none: sandboxes
// show their own disk under its number.
func networkDisk(kind int64) string {
	switch uint32(kind) {
	case 0x6969:
		return "NFS"
	case 0x517b:
		return "SMB"
	case 0xff534d42:
		return "CIFS"
	case 0xfe534d42:
		return "SMB 2"
	case 0x5346414f, 0x6b414653:
		return "AFS"
	case 0x00c36400:
		return "Ceph"
	case 0x73757245:
		return "Coda"
	}
	return ""
}

// userDisk names the network file system that a program in user space carries on a device, as the kernel's list of mounts
// tells it; empty if it is none that is known. Encrypted local disks are carried in the same way.
func userDisk(mounts, device string) string {
	for line := range strings.Lines(mounts) {
		mount, kinds, ok := strings.Cut(line, " - ")
		if f := strings.Fields(mount); !ok || len(f) < 3 || f[2] != device {
			continue
		}
		kind, _, _ := strings.Cut(kinds, " ")
		name, ok := strings.CutPrefix(kind, "fuse.")
		if ok && slices.Contains(strings.Fields("sshfs s3fs rclone gcsfuse glusterfs ceph-fuse blobfuse blobfuse2 davfs curlftpfs goofys mount-s3 juicefs"), name) {
			return name
		}
	}
	return ""
}

func refuseNetwork(name, path string) error {
	return &phone.Error{
		Code: phone.Refused, Reason: "network_disk",
		Message: "The ledger " + path + " lies on a disk over the network (" + name + "), where processes on several machines would overwrite each other's records. " +
			"Keep it on a local disk, or use Postgres (OUTDIAL_DATABASE=postgres://…) for several machines.",
	}
}
