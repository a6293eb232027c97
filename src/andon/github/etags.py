"""Answers kept with their ETag, so that asking again for what has not changed costs nothing.

An ETag belongs to the token it was given to (contract section 5): what was kept under an older
token is dropped with it. Bounded in entries and bytes; what was not asked for longest goes first.
"""

from collections import OrderedDict

import msgspec

from andon.github.outcomes import Got


class KeptKey(msgspec.Struct, frozen=True, kw_only=True):
    """One request as one token asks it."""

    account: str
    generation: int
    url: str
    query: tuple[tuple[str, str], ...]


def is_whole(body: bytes) -> bool:
    """Whether it is JSON to its end. One that was cut, kept with its ETag, would come back with every 304."""
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


class Etags:
    """The store."""

    def __init__(self, *, entries: int = 2_000, size: int = 32 * 2**20) -> None:
        self._most_entries = entries
        self._most_size = size
        self._kept: OrderedDict[KeptKey, tuple[str, Got]] = OrderedDict()
        self._generations: dict[str, int] = {}
        self.size = 0
        """Bytes of the bodies kept."""

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, key: KeptKey) -> tuple[str, Got] | None:
        """The ETag and the answer kept for this request, or None."""
        self._see(key)
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def keep(self, key: KeptKey, got: Got) -> None:
        """Keeps an answer that has an ETag; an older answer of the same request goes."""
        self._see(key)
        self._drop(key)
        etag = got.headers.get("etag")
        current = self._generations[key.account] == key.generation
        if not etag or not current or len(got.body) > self._most_size // 4:
            return
        self._kept[key] = (etag, got)
        self.size += len(got.body)
        while len(self._kept) > self._most_entries or self.size > self._most_size:
            self._drop(next(iter(self._kept)))

    def _see(self, key: KeptKey) -> None:
        """A newer generation of a credential: nothing kept under the older one is of use."""
        if key.generation > self._generations.get(key.account, -1):
            self._generations[key.account] = key.generation
            for old in [each for each in self._kept if each.account == key.account]:
                self._drop(old)

    def _drop(self, key: KeptKey) -> None:
        gone = self._kept.pop(key, None)
        if gone is not None:
            self.size -= len(gone[1].body)
