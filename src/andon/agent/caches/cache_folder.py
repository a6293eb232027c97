"""Where one cache lies, and what is written down of the server that serves it.

`<root>/caches/` is closed to every user but the agent's, so that a job cannot put a server of its own, with a smaller
cap, on a cache that others share (incidents.md P7: it would evict all of it). Below it, each cache has a folder of
the user whose jobs share it; its server gets there as its working directory, which needs no way through the closed
one. The socket is made in that folder, and gets a second name in `<root>/run/caches/`, where jobs reach it and cannot
put another in its place. Where they run as the agent's own user they can, and it is put right by the next look.
"""

import os
import pwd
import re

import msgspec

from andon.agent.layout import Root
from andon.runtime.files import write_atomically

PROGRAM = "sccache"
LONGEST_SOCKET = 107
"""Bytes that an address of a unix socket may have."""
INSIDE = "/proc/self/cwd"
"""How the server names its folder: the way leads from the process, not through the folders above."""
_KEY = re.compile(r"([a-z0-9._-]{1,100})\.([0-9]{1,10})\Z")


class CacheKey(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Jobs of the same owner that run as the same user share a cache: what runs as another user must not write what
    they trust, nor what another owner's jobs compiled (limits.md I9)."""

    owner: str
    """In lower case: GitHub tells no case apart."""
    uid: int

    @property
    def name(self) -> str:
        """Of its folder and of its socket."""
        return f"{self.owner}.{self.uid}"

    @property
    def user(self) -> str:
        """For people."""
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return str(self.uid)


class ServerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The server that was started last."""

    pid: int
    start: int
    """Clock ticks since boot."""
    boot: str
    cap: int
    program: str


class CacheFolder:
    """The names of one cache's files."""

    def __init__(self, root: Root, key: CacheKey) -> None:
        self.path = root.caches / PROGRAM / key.name
        self.data = self.path / "data"
        self.born = self.path / "door.sock"
        """Where the server opens its socket."""
        self.door = root.cache_doors / f"{key.name}.sock"
        """Where jobs find it."""
        self._record = root.caches / PROGRAM / f"{key.name}.json"

    def make(self, uid: int, gid: int) -> None:
        """Raises OSError."""
        for closed in (self.path.parent.parent, self.path.parent):
            closed.mkdir(mode=0o700, exist_ok=True)
        self.door.parent.mkdir(mode=0o755, exist_ok=True)
        self.door.parent.chmod(0o755)
        for folder in (self.path, self.data):
            folder.mkdir(mode=0o700, exist_ok=True)
            os.chown(folder, uid, gid)

    def known(self) -> ServerRecord | None:
        """What is written down; None: nothing that can be read."""
        try:
            return msgspec.json.decode(self._record.read_bytes(), type=ServerRecord)
        except (OSError, msgspec.MsgspecError):
            return None

    def write_down(self, record: ServerRecord) -> None:
        """Raises OSError."""
        write_atomically(self._record, msgspec.json.encode(record), durable=False)


def caches_in(root: Root) -> tuple[CacheKey, ...]:
    """Every cache that has a folder."""
    try:
        names = sorted(path.name for path in (root.caches / PROGRAM).iterdir() if path.is_dir())
    except OSError:
        return ()
    found = (_KEY.match(name) for name in names)
    return tuple(CacheKey(owner=each[1], uid=int(each[2])) for each in found if each is not None)
