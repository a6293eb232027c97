"""What a job is told of the compile cache that it uses, and of settings of its own that do not count (R55)."""

import re
from collections.abc import Mapping

from andon.rules.size_words import size

CAP, FOLDER = "SCCACHE_CACHE_SIZE", "SCCACHE_DIR"
BACKEND = "SCCACHE_BACKEND"
"""What a hook calls the name, and never the value, of a variable that gives sccache a place on the network."""
_AS_SCCACHE_READS = re.compile(r"\s*([0-9]+)\s*([KMGT]?)\s*\Z")
"""`sccache` knows powers of 1024 and these letters only."""


def asked_bytes(text: str) -> int | None:
    """What `SCCACHE_CACHE_SIZE` asks for; None: sccache would not understand it."""
    found = _AS_SCCACHE_READS.match(text)
    return None if found is None else int(found[1]) * 1024 ** " KMGT".index(found[2] or " ")


def as_setting(cap: int) -> str:
    """The same the other way round; every version of sccache wants a letter, not every one takes bytes."""
    return f"{cap // 1024}K"


def refusals(environ: Mapping[str, str], cap: int) -> tuple[str, ...]:
    """A sentence for each setting of the job that the host's cache does not follow."""
    said: list[str] = []
    asked = environ.get(CAP, "")[:40]
    if asked and asked_bytes(asked) != cap // 1024 * 1024:
        said.append(
            f"{CAP}={_shown(asked)} is refused: the compile cache of this host is shared, and its size, {size(cap)}, "
            "is set in one place only ([agent.sccache] size). Take the variable out of the workflow."
        )
    if environ.get(FOLDER):
        said.append(
            f"{FOLDER} is not followed: sccache uses the compile cache of this host. Take the variable out of the "
            "workflow."
        )
    return tuple(said)


def _shown(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
