"""Why no runner can start on a slot, as its start probe found: one sentence with what to do (R43)."""

import errno
from types import MappingProxyType

_ADVICE = MappingProxyType(
    {
        errno.ENOSPC: "Free bytes or inodes there.",
        errno.EDQUOT: "Raise the quota of the slot's user, or remove files of its.",
        errno.EAGAIN: "Raise the limit on processes (pids.max, or nproc of the slot's user), or end what uses it up.",
        errno.ENOMEM: "Free memory on this host, or raise the limit on it.",
        errno.EROFS: "Mount it writable again.",
        errno.EACCES: "Let the slot's user in.",
        errno.EPERM: "Let the slot's user in.",
        errno.EIO: "Look after that disk.",
    }
)
_OTHERWISE = "Mend that; the slot comes back by itself."
_CGROUPS = "Remove cgroups that nobody uses, or raise cgroup.max.descendants."


def cannot_start(step: str, place: str, number: int, meaning: str) -> str:
    """`step` says what was tried, `number` is the kernel's answer and `meaning` that in words."""
    used_up = number in (errno.ENOSPC, errno.EAGAIN)
    advice = _CGROUPS if used_up and "cgroup" in step else _ADVICE.get(number, _OTHERWISE)
    return f"No runner can start on this slot: {step} failed in {place} ({meaning}). {advice}"


def takes_too_long(place: str, seconds: float) -> str:
    """It was not over in time."""
    return (
        f"No runner can start on this slot: trying it in {place} was not over after {seconds:g} s. "
        "Look what holds up that filesystem or the host."
    )


NOT_TRIED = "Whether a runner can start on this slot is being tried."
"""Until the first probe is over (R38)."""
