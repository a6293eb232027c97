"""Tries what a runner's start needs, as the slot's user, and says on standard output what failed (R43).

A program of its own (standard library only, never imported by Andon): what is tried is a new process. Its one
argument is the order as JSON. Exit code 0 and no output: all of it worked, and nothing is left behind.
"""
# It is started before runners, so it imports little.
# ruff: noqa: PTH102, PTH103, PTH106, PTH118, PTH123

from __future__ import annotations

import errno
import json
import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypedDict

    class User(TypedDict):
        uid: int
        gid: int
        groups: list[int]

    class Order(TypedDict):
        folder: str
        unnamed: bool
        user: User | None
        cgroup: str | None
        seconds: int


# Filesystems that know no files without a name.
NO_UNNAMED = (errno.EOPNOTSUPP, errno.EISDIR)
# A machine that cannot give cgroups at all; there runners start without one.
NO_CGROUPS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EOPNOTSUPP, errno.EBUSY)


def enter_cgroup(path: str) -> None:
    """Makes a cgroup as a runner's is made, and goes in. Raises OSError where cgroups are used up (T26)."""
    try:
        os.makedirs(path, exist_ok=True)
        with open(os.path.join(path, "cgroup.procs"), "w") as file:
            file.write("0")
    except OSError as error:
        if error.errno not in NO_CGROUPS:
            raise


def try_all(order: Order) -> tuple[str, OSError] | None:
    """The first step that failed, in words, with the kernel's answer."""
    step, folder = "", order["folder"]
    try:
        if order["cgroup"]:
            step = "making a cgroup"
            enter_cgroup(order["cgroup"])
        user = order["user"]
        if user:
            step = "becoming the slot's user"
            os.setgroups(user["groups"])
            os.setgid(user["gid"])
            os.setuid(user["uid"])
        step = "starting a process"
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        if order["unnamed"]:
            step = "writing a file"
            write_unnamed(folder)
            return None
        step = "entering the slot's folder"
        os.chdir(folder)
        step = "writing a file"
        try:
            write(os.open("file", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            step = "making a directory"
            os.mkdir("folder", 0o700)
            step = "removing a directory"
            os.rmdir("folder")
        finally:
            clean_up()
    except OSError as error:
        return step, error
    return None


def write(file: int) -> None:
    try:
        os.write(file, b"x" * 4096)
    finally:
        os.close(file)


def write_unnamed(folder: str) -> None:
    """In somebody else's folder: a file without a name takes an inode and a block, and changes nothing in it."""
    try:
        file = os.open(folder, os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        # The runner makes it with its first job.
        return
    except OSError as error:
        if error.errno in NO_UNNAMED:
            return
        raise
    write(file)


def clean_up() -> None:
    """Whatever was made, in whatever order it failed."""
    for remove, name in ((os.rmdir, "folder"), (os.unlink, "file")):
        try:
            remove(name)
        except OSError:
            pass


def main() -> int:
    order: Order = json.loads(sys.argv[1])
    # For an agent that was ended meanwhile.
    signal.alarm(order["seconds"])
    failed = try_all(order)
    if failed is None:
        return 0
    step, error = failed
    os.write(1, json.dumps({"step": step, "errno": error.errno or 0}).encode())
    return 1


if __name__ == "__main__":
    sys.exit(main())
