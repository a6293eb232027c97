"""The files a step may write to change what comes after it: GITHUB_ENV, GITHUB_PATH and their kin.

Made fresh for each step under `_temp/_runner_file_commands`, read when the step has ended.
"""

from pathlib import Path
from typing import NamedTuple

from andon.runtime.errors import AndonError

_NAMES = {
    "GITHUB_ENV": "set_env",
    "GITHUB_PATH": "add_path",
    "GITHUB_OUTPUT": "set_output",
    "GITHUB_STATE": "save_state",
    "GITHUB_STEP_SUMMARY": "step_summary",
}
_LIMIT = 4 * 1024 * 1024


class BadFileCommand(AndonError):
    """A file command that cannot be read; it fails the step."""


class FileCommands(NamedTuple):
    """What one step asked for."""

    env: dict[str, str]
    path: tuple[str, ...]
    outputs: dict[str, str]


def make_files(folder: Path, number: int) -> dict[str, str]:
    """Empty files for step `number`, as the variables that name them."""
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, str] = {}
    for variable, name in _NAMES.items():
        path = folder / f"{name}_{number}"
        path.write_bytes(b"")
        files[variable] = str(path)
    return files


def read_files(files: dict[str, str]) -> FileCommands:
    """Reads what the step left. Raises BadFileCommand with the official runner's text."""
    paths = [line.strip() for line in _read(files["GITHUB_PATH"]).splitlines() if line.strip()]
    env = parse_pairs(_read(files["GITHUB_ENV"]), command="env")
    # The official runner refuses this one: it would run code in every later JavaScript action.
    env.pop("NODE_OPTIONS", None)
    return FileCommands(env, tuple(paths), parse_pairs(_read(files["GITHUB_OUTPUT"]), command="output"))


def parse_pairs(text: str, *, command: str) -> dict[str, str]:
    """`NAME=value` lines and `NAME<<DELIMITER` blocks. Raises BadFileCommand."""
    pairs: dict[str, str] = {}
    lines = iter(text.splitlines())
    for line in lines:
        if not line.strip():
            continue
        equals, heredoc = line.find("="), line.find("<<")
        if heredoc > 0 and (equals < 0 or heredoc < equals):
            name, _, delimiter = line.partition("<<")
            block: list[str] = []
            for inner in lines:
                if inner == delimiter:
                    break
                block.append(inner)
            else:
                raise _bad(command, f"Invalid value. Matching delimiter not found '{delimiter}'")
            pairs[name] = "\n".join(block)
        elif equals > 0:
            name, _, value = line.partition("=")
            pairs[name] = value
        else:
            raise _bad(command, f"Invalid format '{line[:200]}'")
    return pairs


def _bad(command: str, detail: str) -> BadFileCommand:
    return BadFileCommand(f"Unable to process file command '{command}' successfully.\n{detail}")


def _read(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            return file.read(_LIMIT).decode("utf-8-sig", "replace")
    except FileNotFoundError:
        return ""
