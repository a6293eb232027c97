"""What btrfs is asked by ioctl: subvolumes, and the simple quotas of kernels from 6.7 on (host-facts.md 1.6).

Its own program is not needed, which older distributions have in versions that know no simple quotas. All functions
raise OSError: ENOTTY on other filesystems, EPERM where only root may.
"""

import fcntl
import struct

_WRITE, _READ = 1, 2
_NAME = 4087
ROOT_INODE = 256
"""Every subvolume's topmost directory has this number."""


def _request(direction: int, number: int, size: int) -> int:
    return direction << 30 | size << 16 | 0x94 << 8 | number


_SUBVOL_CREATE = _request(_WRITE, 14, 4096)
_INO_LOOKUP = _request(_READ | _WRITE, 18, 4096)
_FS_INFO = _request(_READ, 31, 1024)
_QUOTA_CTL = _request(_READ | _WRITE, 40, 16)
_QGROUP_LIMIT = _request(_READ, 43, 48)
_ENABLE_SIMPLE = 4
_LIMIT_REFERENCED = 1


def make_subvolume(folder: int, name: str) -> None:
    """Makes an empty one named `name` in the open `folder`; ValueError for a name that is too long."""
    raw = name.encode()
    if len(raw) > _NAME:
        raise ValueError(f"{name[:40]}...: longer than a name may be")
    fcntl.ioctl(folder, _SUBVOL_CREATE, bytearray(struct.pack("q4088s", 0, raw)))


def subvolume_of(folder: int) -> int:
    """The number of the subvolume that the open `folder` lies in."""
    answer = bytearray(4096)
    struct.pack_into("QQ", answer, 0, 0, ROOT_INODE)
    fcntl.ioctl(folder, _INO_LOOKUP, answer)
    return int(struct.unpack_from("Q", answer)[0])


def filesystem_id(folder: int) -> str:
    """The filesystem's UUID, under which sysfs has it."""
    answer = bytearray(1024)
    fcntl.ioctl(folder, _FS_INFO, answer)
    raw = answer[16:32].hex()
    return "-".join((raw[:8], raw[8:12], raw[12:16], raw[16:20], raw[20:]))


def enable_simple_quotas(folder: int) -> None:
    """For the whole filesystem. Andon never does this by itself: a person does, or a test."""
    fcntl.ioctl(folder, _QUOTA_CTL, bytearray(struct.pack("QQ", _ENABLE_SIMPLE, 0)))


def limit(folder: int, subvolume: int, most: int | None) -> None:
    """How many bytes this subvolume may have; None: as many as there are."""
    flags = _LIMIT_REFERENCED
    # The largest number stands for none: the kernel clears the limit then.
    bytes_ = 2**64 - 1 if most is None else most
    fcntl.ioctl(folder, _QGROUP_LIMIT, struct.pack("QQQQQQ", subvolume, flags, bytes_, 0, 0, 0))
