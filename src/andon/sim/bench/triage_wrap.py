"""A whole job's log around an excerpt, as a runner writes it: what triage meets in real life.

Times on every line, groups, an echoed script that quotes errors, hundreds of benign lines, and decoys: warnings of
what was tried again, passing tests named after errors, failures that were put up with, and what runs after the job.
"""

import random  # noqa: TID251
from datetime import UTC, datetime, timedelta

import msgspec


class Wrapped(msgspec.Struct, frozen=True):
    """A log and the lines (from 1) that the excerpt takes in it."""

    text: str
    first: int
    last: int


_BENIGN = (
    "   Compiling regex-automata v0.4.{n}",
    "Downloaded 12{n} kB in 0.{n}s",
    "[{n}/412] Building CXX object src/CMakeFiles/core.dir/part{n}.cpp.o",
    "added {n} packages in {n}s",
    "Get:{n} http://mirror.example/ubuntu jammy/main amd64 libfoo{n} amd64 1.{n} [12.3 kB]",
    "INFO: step {n} of 900 done",
    "test unit::case_{n} ... ok",
    "tests/test_part{n}.py::test_works PASSED",
    "ok  \tgithub.com/acme/app/part{n}\t0.{n}s",
    "  \u2713 renders part {n} ({n} ms)",
    "PASS src/part{n}.test.ts",
    "[INFO] Tests run: {n}, Failures: 0, Errors: 0, Skipped: 0",
    "#{n} DONE 0.{n}s",
    "",
)
_DECOYS = (
    "warning: spurious network error (3 tries remaining): [56] Failure when receiving data from the peer "
    "(Connection reset by peer)",
    "npm WARN retry fetch failed with ECONNRESET, attempt 1 of 3",
    "test io::reports_no_space_left_on_device ... ok",
    "tests/test_net.py::test_connection_refused PASSED",
    "    --- PASS: TestPermissionDenied (0.00s)",
    "  \u2713 handles ENOSPC: no space left on device (3 ms)",
    "rm: cannot remove 'build/old': No such file or directory (ignored)",
    "WARN pull failed with 503 Service Unavailable, retrying in 2 s",
    "error: pathspec 'x' did not match any file(s) known to git (tolerated, continuing)",
    "DEBUG mock server answered 429 Too Many Requests as expected",
    "test worker::is_killed_by_signal_9 ... ok",
    "W: Some index files failed to download. They have been ignored, or old ones used instead. Retrying",
)
_POST = (
    "Post job cleanup.",
    "[command]/usr/bin/git version",
    "Warning: Failed to save: Unable to reserve cache with key a, another job may be creating this cache.",
    "error: could not lock config file .git/config: Permission denied",
    "Cleaning up orphan processes",
    "Terminate orphan process: pid (4711) (node)",
)


def wrap(excerpt: str | None, seed: int) -> Wrapped:
    """The excerpt in the failing step of a job; None: a job that passed, with all the decoys."""
    chance = random.Random(seed)
    lines = [
        "Current runner version: '2.330.0'",
        "##[group]Runner Image",
        "Image: ubuntu-22.04",
        "##[endgroup]",
        "Prepare workflow directory",
        "Getting action download info",
        "Complete job name: test",
        *_group("actions/checkout@v4", ["with:", "  fetch-depth: 1"]),
        "[command]/usr/bin/git fetch --depth=1 origin",
        "HEAD is now at 1a2b3c4 Work",
        *_group("./setup.sh || true", ['grep -q "No space left on device" log && exit 1', "shell: /bin/bash -e {0}"]),
        *noise(chance, chance.randrange(5, 60)),
    ]
    if chance.random() < 0.3:
        # A step that may fail: the job goes on behind it.
        lines += [*_group("./optional-check.sh", ["shell: bash"]), "optional check found 3 things", _EXIT_1]
    lines += _group("make ci", ['echo "##[error]connection reset by peer"', "retry make ci", "env:", "  X: ENOSPC"])
    lines += noise(chance, chance.randrange(10, 300))
    first = len(lines) + 1
    if excerpt is not None:
        lines += excerpt.split("\n")
    last = len(lines)
    lines += noise(chance, chance.choice((0, 0, 3, 40, 200)))
    if excerpt is not None and "##[error]" not in excerpt.split("\n")[-1]:
        lines.append(_EXIT_1)
    lines += _POST
    at = datetime(2026, 5, 15, 14, tzinfo=UTC)
    out: list[str] = []
    for line in lines:
        at += timedelta(milliseconds=chance.randrange(1, 900))
        out.append(f"{at:%Y-%m-%dT%H:%M:%S.%f}0Z {line}")
    return Wrapped("\ufeff" + "\n".join(out) + "\n", first, last)


_EXIT_1 = "##[error]Process completed with exit code 1."


def _group(name: str, script: list[str]) -> list[str]:
    return [f"##[group]Run {name}", f"\x1b[36;1m{name}\x1b[0m", *script, "##[endgroup]"]


def noise(chance: random.Random, count: int, decoys: float = 0.06) -> list[str]:
    """Lines of a job that does its work, some of them decoys."""
    return [
        chance.choice(_DECOYS)
        if chance.random() < decoys
        else chance.choice(_BENIGN).format(n=chance.randrange(10, 99))
        for _ in range(count)
    ]
