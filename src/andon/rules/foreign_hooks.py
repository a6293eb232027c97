"""What a hook that was here before us does, read from its text: does it delete or prune (P2)?

A guard that clears directories before a job removed the live ones of its neighbours. Such a hook is
not chained unasked (interfaces.md section 3). Text can hide what it does, so this finds the honest
ones; a hook that cannot be read counts as one that prunes (law 4).
"""

import re
from collections.abc import Callable, Iterator

import msgspec

MAX_HOOK_BYTES = 256 * 1024
"""A longer hook is not read; it counts as one that cannot be told."""

_SEPARATORS = re.compile(r"&&|\|\||[;|&(){}\n`]|\$\(")
_HASH = re.compile(r"(?:^|\s)#")
_QUOTES = re.compile(r"[\"'\\]")
_SHOWN = 120


class Deletion(msgspec.Struct, frozen=True, kw_only=True):
    """One place in a hook that deletes or prunes."""

    line: int
    """From 1; 0: the hook as a whole."""
    text: str
    why: str


def deletions_in(content: bytes | None) -> tuple[Deletion, ...]:
    """Everything in a hook's text that deletes directories or prunes; `content` None: it could not be read.

    Comments do not count; what stands in quotes does, for `sh -c "rm -rf x"` runs it.
    """
    if content is None:
        return (Deletion(line=0, text="", why="it cannot be read, so what it deletes cannot be told"),)
    if len(content) > MAX_HOOK_BYTES:
        return (Deletion(line=0, text="", why="it is too long to be read, so what it deletes cannot be told"),)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        return (Deletion(line=0, text="", why="it is a binary file, so what it deletes cannot be told"),)
    return tuple(_found(text))


def _found(text: str) -> Iterator[Deletion]:
    for number, line in _logical_lines(text):
        said: set[str] = set()
        for command in _SEPARATORS.split(_without_comment(line)):
            words = [_QUOTES.sub("", word) for word in command.split()]
            for why, matches in RULES.items():
                if why not in said and matches([word for word in words if word]):
                    said.add(why)
                    yield Deletion(line=number, text=line.strip()[:_SHOWN], why=why)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Each line with its number; a line that ends in a backslash goes on in the next one."""
    number = 1
    waiting: list[str] = []
    for at, line in enumerate(text.split("\n"), start=1):
        if not waiting:
            number = at
        line = line.removesuffix("\r")
        if line.endswith("\\") and not line.endswith("\\\\"):
            waiting.append(line[:-1])
            continue
        yield number, " ".join((*waiting, line))
        waiting = []
    if waiting:
        yield number, " ".join(waiting)


def _without_comment(line: str) -> str:
    """The line up to its comment. A `#` in quotes begins none."""
    for found in _HASH.finditer(line):
        before = line[: found.start()]
        if before.count('"') % 2 == 0 and before.count("'") % 2 == 0:
            return before
    return line


def _after(words: list[str], *programs: str) -> Iterator[list[str]]:
    """What follows each word that names one of `programs`, with or without a folder before it."""
    for at, word in enumerate(words):
        if word.rpartition("/")[2] in programs:
            yield words[at + 1 :]


def _removes_recursively(words: list[str]) -> bool:
    for rest in _after(words, "rm"):
        for word in rest:
            if word == "--":
                break
            short = word.startswith("-") and not word.startswith("--") and re.search("[rR]", word)
            # GNU programs take every beginning of a long option that means only one.
            if short or (len(word) > 2 and "--recursive".startswith(word)):
                return True
    return False


def _find_deletes(words: list[str]) -> bool:
    removing = ("rm", "unlink", "rmdir", "shred")
    for rest in _after(words, "find"):
        if "-delete" in rest:
            return True
        for at, word in enumerate(rest):
            if word in ("-exec", "-execdir", "-ok", "-okdir") and any(
                each.rpartition("/")[2] in removing for each in rest[at + 1 :]
            ):
                return True
    return False


def _xargs_removes(words: list[str]) -> bool:
    return any(any(True for _ in _after(rest, "rm", "unlink")) for rest in _after(words, "xargs", "parallel"))


def _prunes(words: list[str]) -> bool:
    return any(re.fullmatch(r"(?:.*[-_.])?prune(?:[-_.].*)?", word.rpartition("/")[2]) for word in words)


def _truncates(words: list[str]) -> bool:
    return any(True for _ in _after(words, "truncate"))


def _cleans_checkout(words: list[str]) -> bool:
    return any("clean" in rest for rest in _after(words, "git"))


def _mirrors(words: list[str]) -> bool:
    return any(any(word.startswith("--del") for word in rest) for rest in _after(words, "rsync"))


def _sweeps(words: list[str]) -> bool:
    return any(True for _ in _after(words, "tmpwatch", "tmpreaper")) or any(
        {"--clean", "--remove"} & set(rest) for rest in _after(words, "systemd-tmpfiles")
    )


def _other_language(words: list[str]) -> bool:
    return any(name in word for word in words for name in ("rmtree", "rm_rf", "remove_tree", "rmSync"))


RULES: dict[str, Callable[[list[str]], bool]] = {
    "rm removes directories": _removes_recursively,
    "find deletes what it finds": _find_deletes,
    "xargs removes what a list names": _xargs_removes,
    "it prunes": _prunes,
    "it truncates files": _truncates,
    "git clean removes files": _cleans_checkout,
    "rsync deletes what the source lacks": _mirrors,
    "a sweeper of temporary files runs": _sweeps,
    "a program removes a tree": _other_language,
}
"""Why a command counts as deleting, and how its words are told. Each has its examples in the tests."""
