"""TOML into structs, with refusals that name the line (interfaces.md sections 1 and 2)."""

import difflib
import re
import tomllib
from pathlib import Path, PurePath
from typing import Any, TypeVar, get_args

import msgspec

from andon.runtime.errors import Refused

T = TypeVar("T", bound=msgspec.Struct)

_HEADER = re.compile(r"^\s*(\[\[?)\s*([A-Za-z0-9_.\-\"' ]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"^\s*([A-Za-z0-9_\-]+|\"[^\"]*\")\s*(?:\.[^=]*)?=")
_AT_LINE = re.compile(r"\(at line (\d+), column \d+\)")
_PATH_PART = re.compile(r"\.([A-Za-z0-9_\-]+)|\[(\d+|\.\.\.)\]")


class UnusableFile(Refused):
    """A configuration file that cannot be used."""

    def __init__(self, path: PurePath | str, line: int, what: str) -> None:
        super().__init__(f"{path}:{line}: {what}")
        self.line = line


def _lines_of_keys(text: str) -> dict[tuple[str | int, ...], int]:
    """Where each key and table stands: path (names and list indexes) -> line, from 1.

    Reads line by line, which is enough for finding a line; the parsing itself is tomllib's.
    """
    lines: dict[tuple[str | int, ...], int] = {}
    counts: dict[tuple[str | int, ...], int] = {}
    at: tuple[str | int, ...] = ()

    def resolve(names: list[str]) -> tuple[str | int, ...]:
        path: tuple[str | int, ...] = ()
        for name in names:
            path = (*path, name)
            if path in counts:
                path = (*path, counts[path])
        return path

    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            names = [part.strip().strip("\"'") for part in header[2].split(".")]
            if header[1] == "[[":
                parent = resolve(names[:-1])
                key = (*parent, names[-1])
                counts[key] = counts.get(key, -1) + 1
                lines.setdefault(key, number)
                at = (*key, counts[key])
            else:
                at = resolve(names)
            lines.setdefault(at, number)
        elif key_match := _KEY.match(line):
            lines.setdefault((*at, key_match[1].strip('"')), number)
    return lines


def _known_fields(kind: Any) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(kind)]


def _child_kind(kind: Any, name: str) -> Any:
    """The type behind field `name` of a struct, looking through lists, dicts and unions."""
    if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return None
    for field in msgspec.structs.fields(kind):
        if field.encode_name == name:
            return _inner(field.type)
    return None


def _inner(kind: Any) -> Any:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind
    for argument in get_args(kind):
        found = _inner(argument)
        if found is not None:
            return found
    return None


def _first_unknown(kind: Any, value: Any, path: tuple[str | int, ...]) -> tuple[tuple[str | int, ...], str] | None:
    """The first key that `kind` does not know, with the sentence that says what to do."""
    if isinstance(value, list):
        for index, item in enumerate(value):  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
            if found := _first_unknown(kind, item, (*path, index)):
                return found
        return None
    if kind is None or not isinstance(value, dict):
        return None
    known = _known_fields(kind)
    for name, child in value.items():  # pyright: ignore[reportUnknownVariableType]
        name = str(name)  # pyright: ignore[reportUnknownArgumentType]
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            where = ".".join(str(part) for part in path if isinstance(part, str)) or "the top level"
            advice = f'Did you mean "{close[0]}"?' if close else f"Known there: {', '.join(known)}."
            return (*path, name), f'unknown key "{name}" in {where}. {advice}'
        if found := _first_unknown(_child_kind(kind, name), child, (*path, name)):
            return found
    return None


def load_toml(path: Path, kind: type[T]) -> T:
    """Reads `path` into a `kind`.

    Raises UnusableFile (one sentence with file and line) for a missing or unreadable file, broken
    TOML, an unknown key (with the nearest known one) and a value of the wrong type.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UnusableFile(path, 1, "no such file. Name one with --config, or write it.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UnusableFile(path, 1, f"cannot be read ({error}). Make it readable UTF-8 text.") from None
    return parse_toml(path, text, kind)


def parse_toml(path: PurePath | str, text: str, kind: type[T]) -> T:
    """Like `load_toml`, for text that is already read; `path` is only named in refusals."""
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _AT_LINE.search(str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        what = _AT_LINE.sub("", str(error)).strip().rstrip(".")
        raise UnusableFile(path, line, f"broken TOML: {what}. Mend this line.") from None
    lines = _lines_of_keys(text)
    if unknown := _first_unknown(kind, tree, ()):
        raise UnusableFile(path, _line(lines, unknown[0]), unknown[1])
    try:
        return msgspec.convert(tree, kind)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        keys = _path_of(where.rstrip("`"))
        name = ".".join(str(part) for part in keys if isinstance(part, str))
        of = f' in "{name}"' if name else ""
        raise UnusableFile(path, _line(lines, keys), f"{what}{of}. Correct the value.") from None


def line_of(text: str, *path: str | int) -> int:
    """The line at which the key or table `path` stands in `text`; its nearest parent's if inline."""
    return _line(_lines_of_keys(text), path)


def _line(lines: dict[tuple[str | int, ...], int], path: tuple[str | int, ...]) -> int:
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return 1


def _path_of(where: str) -> tuple[str | int, ...]:
    out: list[str | int] = []
    for name, index in _PATH_PART.findall(where):
        out.append(name if name else int(index) if index.isdigit() else 0)
    return tuple(out)
