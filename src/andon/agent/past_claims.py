"""Claims that ended here, remembered after their folders went: none is started a second time.

Bounded; a claim so old that it fell out of the list is long past its own deadline.
"""

from pathlib import Path

import msgspec

from andon.runtime.files import write_atomically
from andon.runtime.logging import Logger

_KEPT = 1000


class PastClaims:
    """The last thousand claims that ended here and were acknowledged."""

    def __init__(self, path: Path, log: Logger) -> None:
        self._path = path
        self._log = log
        self._claims: dict[str, None] = {}
        try:
            self._claims = dict.fromkeys(msgspec.json.decode(path.read_bytes(), type=list[str]))
        except FileNotFoundError:
            pass
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("past_claims.unreadable", path=str(path), error=str(error))

    def claims(self) -> frozenset[str]:
        """All of them."""
        return frozenset(self._claims)

    def add(self, claims: frozenset[str]) -> None:
        """Remembers `claims`; a disk that is full costs memory over a restart, nothing more."""
        fresh = [claim for claim in sorted(claims) if claim not in self._claims]
        if not fresh:
            return
        self._claims.update(dict.fromkeys(fresh))
        while len(self._claims) > _KEPT:
            del self._claims[next(iter(self._claims))]
        try:
            write_atomically(self._path, msgspec.json.encode(list(self._claims)), mode=0o600, durable=False)
        except OSError as error:
            self._log.warning("past_claims.unwritten", path=str(self._path), error=str(error))
