"""Which machine this is, so that a neighbour on it is not taken for one behind the network."""

from pathlib import Path


def this_machine() -> str | None:
    """The kernel's name for this boot of this machine, as agents report it too; None where it has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip() or None
    except OSError:
        return None
