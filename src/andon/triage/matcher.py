"""All rules at once: one scan that finds lines worth a look, one RE2 Set that says which rules a line fits.

RE2 has no backtracking, so what a log holds cannot make it slow (R76).
"""

from collections.abc import Iterable, Iterator, Sequence

import re2

from andon.triage.literals import required
from andon.triage.rule import Rule


def _options() -> "re2.Options":
    options = re2.Options()
    # Bytes as they are: a log may be of any encoding, or of none.
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    options.never_capture = True
    options.max_mem = 64 << 20
    return options


_EXACT = _options()


def compile_pattern(pattern: str) -> "re2.Pattern":
    """A pattern over bytes. Raises re2.error where it is not RE2."""
    return re2.compile(pattern.encode(), _EXACT)


def texts_of(rule: Rule) -> tuple[str, ...] | None:
    """Texts of which every line that fits the rule holds one; None: the rule has to name them."""
    return rule.find or required(rule.match)


class Scan:
    """Finds the lines that hold one of many texts: `exact` ones, or ones of any case."""

    def __init__(self, exact: Iterable[str], any_case: Iterable[str]) -> None:
        low = {text.lower() for text in any_case}
        kept = {text for text in exact if text.lower() not in low}
        texts = [*(re2.escape(text) for text in sorted(kept)), *(f"(?i:{re2.escape(text)})" for text in sorted(low))]
        # To the end of the line, so that a line is found once.
        self._pattern = re2.compile(f"(?:{'|'.join(texts)})[^\\n]*".encode(), _EXACT)

    def lines(self, window: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Where the first text of a line begins, and where that line ends, for each such line."""
        for found in self._pattern.finditer(window, start, end):
            yield found.span()


class Matcher:
    """The rules that one line fits, in the order of the catalogue; behind them, the `more` patterns that it fits."""

    def __init__(self, rules: Sequence[Rule], more: Sequence[str] = ()) -> None:
        self.rules = tuple(rules)
        self._set = re2.Set.SearchSet(_EXACT)
        for rule in self.rules:
            self._set.Add(rule.match.encode())
        for pattern in more:
            self._set.Add(pattern.encode())
        self._any = bool(self.rules or more)
        if self._any:
            self._set.Compile()
        self._not = [compile_pattern(rule.not_match) if rule.not_match else None for rule in self.rules]
        self._not += [None] * len(more)
        self.near = [compile_pattern(rule.near) if rule.near else None for rule in self.rules]

    def fitting(self, body: bytes) -> list[int]:
        """Numbers of the rules whose own line this is; what they want nearby is not looked at."""
        if not self._any:
            return []
        return [
            number
            for number in sorted(self._set.Match(body) or ())
            if (refused := self._not[number]) is None or refused.search(body) is None
        ]
