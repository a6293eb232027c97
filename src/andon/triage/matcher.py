"""All rules at once: one scan that finds lines worth a look, one RE2 Set that says which rules a line fits.

RE2 has no backtracking, so what a log holds cannot make it slow (R76).
"""

from collections.abc import Sequence

import re2

from andon.triage.literals import required
from andon.triage.rule import Rule


def _options(*, case_sensitive: bool = True) -> "re2.Options":
    options = re2.Options()
    # Bytes as they are: a log may be of any encoding, or of none.
    options.encoding = re2.Options.Encoding.LATIN1
    options.case_sensitive = case_sensitive
    options.log_errors = False
    options.never_capture = True
    options.max_mem = 64 << 20
    return options


_EXACT = _options()
_ANY_CASE = _options(case_sensitive=False)


def compile_pattern(pattern: str) -> "re2.Pattern":
    """A pattern over bytes. Raises re2.error where it is not RE2."""
    return re2.compile(pattern.encode(), _EXACT)


def texts_of(rule: Rule) -> tuple[str, ...] | None:
    """Texts of which every line that fits the rule holds one; None: the rule has to name them."""
    return rule.find or required(rule.match)


class Scan:
    """Finds the next line that holds one of many texts, whatever their case."""

    def __init__(self, texts: Sequence[str]) -> None:
        pattern = "|".join(re2.escape(text) for text in sorted({text.lower() for text in texts}))
        self._pattern = re2.compile(pattern.encode(), _ANY_CASE)

    def next(self, window: bytes, start: int, end: int) -> int:
        """Where the next text begins in `window[start:end]`; -1: nowhere."""
        found = self._pattern.search(window, start, end)
        return -1 if found is None else found.start()


class Matcher:
    """The rules that one line fits, in the order of the catalogue."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        self._set = re2.Set.SearchSet(_EXACT)
        for rule in self.rules:
            self._set.Add(rule.match.encode())
        if self.rules:
            self._set.Compile()
        self._not = [compile_pattern(rule.not_match) if rule.not_match else None for rule in self.rules]
        self.near = [compile_pattern(rule.near) if rule.near else None for rule in self.rules]
        self.texts = tuple(text for rule in self.rules for text in texts_of(rule) or ())

    def fitting(self, body: bytes) -> list[int]:
        """Numbers of the rules whose own line this is; what they want nearby is not looked at."""
        if not self.rules:
            return []
        return [
            number
            for number in sorted(self._set.Match(body) or ())
            if (refused := self._not[number]) is None or refused.search(body) is None
        ]
