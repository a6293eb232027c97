"""The longest text that every match of a pattern must hold: what the one quick scan of a log looks for.

A rule's own pattern is asked only of lines that hold such a text. Knows enough of RE2's syntax to be
safe: what it cannot read, it does not count as required.
"""

MINIMUM = 3
"""A shorter text would stop the scan at every other line."""
_META = set(".*+?|()[]{}^$")
_QUANTIFIERS = "*+?{"


def required(pattern: str) -> tuple[str, ...] | None:
    """One text for each alternative at the top of `pattern`; None where an alternative has no text to offer."""
    found: list[str] = []
    for branch in _branches(_unflagged(pattern)):
        texts = _of_branch(branch)
        if texts is None:
            return None
        found.extend(texts)
    return tuple(dict.fromkeys(found))


def _unflagged(pattern: str) -> str:
    return pattern.removeprefix("(?i)")


def _branches(pattern: str) -> list[str]:
    out: list[str] = []
    depth = start = at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            at += 1
        elif char == "[":
            at = _class_end(pattern, at)
        elif char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
        elif char == "|" and depth == 0:
            out.append(pattern[start:at])
            start = at + 1
        at += 1
    return [*out, pattern[start:]]


def _of_branch(branch: str) -> list[str] | None:
    """The best run of plain characters, or the alternatives of a group, whichever is longer at its shortest."""
    runs: list[list[str]] = []
    run, at = "", 0

    def close() -> None:
        nonlocal run
        if run:
            runs.append([run])
        run = ""

    while at < len(branch):
        char = branch[at]
        if char == "\\":
            following = branch[at + 1 : at + 2]
            at += 2
            if following and not following.isalnum():
                run += following
                run = _before_quantifier(run, branch, at)
            else:
                close()
        elif char == "[":
            at = _class_end(branch, at) + 1
            close()
        elif char == "(":
            end = _group_end(branch, at)
            inner = branch[at + 1 : end].removeprefix("?:").removeprefix("?i:")
            at = end + 1
            close()
            if (at >= len(branch) or branch[at] not in "*?{") and (texts := required(inner)) is not None:
                runs.append(list(texts))
        elif char in _QUANTIFIERS:
            at = branch.index("}", at) + 1 if char == "{" else at + 1
            close()
        elif char in _META:
            at += 1
            close()
        else:
            run += char
            at += 1
            run = _before_quantifier(run, branch, at)
    close()
    fit = [texts for texts in runs if min(len(text.strip()) for text in texts) >= MINIMUM]
    return max(fit, key=_worth) if fit else None


def _worth(texts: list[str]) -> float:
    # Every further alternative stops the scan at lines of its own.
    return min(len(text.strip()) for text in texts) - 2 * (len(texts) - 1)


def _before_quantifier(run: str, branch: str, at: int) -> str:
    # A character that may be absent is not required; the run ends at the quantifier itself.
    return run[:-1] if at < len(branch) and branch[at] in "*?{" else run


def _class_end(pattern: str, at: int) -> int:
    at += 1
    if pattern[at : at + 1] == "^":
        at += 1
    if pattern[at : at + 1] == "]":
        at += 1
    while at < len(pattern) and pattern[at] != "]":
        at += 2 if pattern[at] == "\\" else 1
    return at


def _group_end(pattern: str, at: int) -> int:
    depth = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            at += 1
        elif char == "[":
            at = _class_end(pattern, at)
        elif char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
            if depth == 0:
                return at
        at += 1
    return at
