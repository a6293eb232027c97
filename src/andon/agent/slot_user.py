"""The user that a slot's runner becomes, looked up once and handed on as numbers."""

import os
import pwd

import msgspec

from andon.runtime.errors import Refused


class SlotUser(msgspec.Struct, frozen=True, kw_only=True):
    """Whom the runner's process becomes; the groups are all of the user's."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


def find_user(name: str) -> SlotUser | None:
    """The user called `name`; None when that is who we are already.

    Raises Refused when there is no such user, or when we may not become another one.
    """
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise Refused(f'This host has no user "{name}". Make it, or correct `user` in [[agent.slots]].') from None
    if entry.pw_uid == os.geteuid():
        return None
    if os.geteuid() != 0:
        raise Refused(f'Only root can start a runner as "{name}". Run the agent as root, or leave `user` out.')
    groups = tuple(os.getgrouplist(name, entry.pw_gid))
    return SlotUser(name=name, uid=entry.pw_uid, gid=entry.pw_gid, groups=groups, home=entry.pw_dir)
