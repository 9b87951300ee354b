package dirwatch

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"
)

// localFileSystems are those whose changes are all made by this system, which
// then tells of them.
var localFileSystems = []uint32{
	unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.TMPFS_MAGIC, unix.RAMFS_MAGIC,
	unix.F2FS_SUPER_MAGIC, unix.OVERLAYFS_SUPER_MAGIC, unix.BCACHEFS_SUPER_MAGIC, unix.REISERFS_SUPER_MAGIC,
	unix.NILFS_SUPER_MAGIC, unix.MSDOS_SUPER_MAGIC, unix.EXFAT_SUPER_MAGIC,
	0x2fc12fc1, // ZFS
	0x3153464a, // JFS
}

// supportsNotify reports whether the system reports all changes to a directory. A
// directory that has vanished has none.
func supportsNotify(path string) bool {
	var fs unix.Statfs_t
	err := unix.Statfs(path, &fs)
	return errors.Is(err, unix.ENOENT) || (err == nil && slices.Contains(localFileSystems, uint32(fs.Type)))
}
