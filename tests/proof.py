"""`make proof`: every check at its full count, step by step, resumable, with a table at the end.

A step that has passed for exactly this content of what it reads is not run again, so a proof that was
cut goes on where it was. What was measured is kept in `.proof/`.
"""

import functools
import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent.parent
KEPT = HERE / ".proof"
PYTHON = [sys.executable]
ANDON = [sys.executable, "-m", "andon"]
ALONE = [*PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--proof"]
_RUN_BY = ("src", "requirements", "pyproject.toml")
READ_BY_BENCH = _RUN_BY
"""The files and folders that a benchmark reads: its word stands while they are as they were."""
READ_BY_SEASONS = ("src/andon/store", *_RUN_BY[1:], "tests/seasons", "tests/conftest.py", "tests/support")
"""And every module that a season imports: what only a real host has is not part of one. The store whole, since
migrations are found by their folder."""
_SEASONS_IMPORTS = """
import sys
import andon.sim.simulation.season, andon.sim.simulation.weather, andon.sim.simulation.workload
print(*sorted(sys.modules[name].__file__ for name in sys.modules if name.split(".")[0] == "andon"), sep="\\n")
"""
PYTEST = [*ALONE, "-n", "auto", "--maxprocesses=4", "--dist", "worksteal"]
"""Tests that may run beside each other; what watches deadlines or measures runs alone."""

STEPS: tuple[tuple[str, list[str]], ...] = (
    ("static checks", ["tests/run", "check"]),
    ("model, rules, runtime", [*PYTEST, "tests/model", "tests/rules", "tests/runtime", "tests/house"]),
    ("store: conformance and state machine", [*PYTEST, "tests/store"]),
    ("github room", [*PYTEST, "tests/github"]),
    ("the contract with GitHub, and our own", [*PYTEST, "tests/contract"]),
    ("loops on the sandbox", [*PYTEST, "tests/loops"]),
    ("planted bugs", [*PYTHON, "-m", "tests.planted"]),
    ("web and pages", [*PYTEST, "tests/web"]),
    ("agent, real processes", [*PYTEST, "tests/agent"]),
    ("sandbox, runner, demo", [*PYTEST, "tests/sim"]),
    ("commands, doctor, installing", [*PYTEST, "tests/cli", "tests/docs", "tests/doctor", "tests/setup"]),
    *((f"seasons {at * 20 + 1} to {at * 20 + 20}", [*PYTEST, "tests/seasons", "--step", str(at)]) for at in range(10)),
    ("200 jobs", [*ALONE, "tests/acceptance/test_two_hundred_jobs.py"]),
    ("durability", [*ALONE, "tests/acceptance/test_durability.py"]),
    (
        "restarts, real workflows",
        [*ALONE, "tests/acceptance/test_restarts.py", "tests/acceptance/test_real_workflow.py"],
    ),
    ("bench dispatch, SQLite", [*ANDON, "bench", "dispatch", "--database", "sqlite", "--rounds", "200", "--json"]),
    (
        "bench dispatch, PostgreSQL",
        [*ANDON, "bench", "dispatch", "--database", "postgres", "--rounds", "100", "--json"],
    ),
    ("bench ingest", [*ANDON, "bench", "ingest", "--rounds", "7", "--json"]),
    ("API cost", [*ANDON, "bench", "api", "--json"]),
    ("bench hook", [*ANDON, "bench", "hook", "--rounds", "100", "--json"]),
    ("bench lease", [*ANDON, "bench", "lease", "--rounds", "1000", "--json"]),
    ("bench agent", [*ANDON, "bench", "agent", "--rounds", "10", "--json"]),
    ("bench start", [*ANDON, "bench", "start", "--rounds", "200", "--json"]),
    ("bench disk", [*ANDON, "bench", "disk", "--rounds", "5", "--json"]),
    ("growing builds on ext4, xfs, btrfs", [*ALONE, "tests/acceptance/test_growing_builds.py"]),
    ("a host over each mark and back", [*ANDON, "drill", "record", ".proof/marks"]),
)


def reads(name: str) -> tuple[str, ...]:
    """The files and folders that this step's result depends on; none stands for the whole repository."""
    if name.startswith("seasons "):
        return (*READ_BY_SEASONS, *_modules_of_seasons())
    return READ_BY_BENCH if name.startswith(("bench ", "API cost")) else ()


@functools.cache
def _modules_of_seasons() -> tuple[str, ...]:
    found = subprocess.run([*PYTHON, "-c", _SEASONS_IMPORTS], cwd=HERE, capture_output=True, text=True, check=True)
    return tuple(str(Path(line).resolve().relative_to(HERE.resolve())) for line in found.stdout.splitlines())


def content(within: tuple[str, ...] = ()) -> str:
    """A name for the present content of every file that git tracks or would track, of these folders or of all."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z", "--", *within], cwd=HERE, capture_output=True, check=True
    ).stdout
    digest = hashlib.sha256()
    for name in sorted(listed.split(b"\0")):
        path = HERE / name.decode() if name else None
        if path is not None and path.is_file():
            digest.update(name + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def run(name: str, command: list[str], kept: Path) -> dict[str, Any]:
    """Runs one step, or takes its result from an earlier proof of the same content."""
    if kept.exists():
        found: dict[str, Any] = json.loads(kept.read_text())
        if found["passed"]:
            print(f"== {name}: passed before", flush=True)
            return found
    print(f"== {name} ...", flush=True)
    began = time.monotonic()
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    took = time.monotonic() - began
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    result: dict[str, Any] = {"name": name, "passed": done.returncode == 0, "took_s": round(took, 1)}
    if "--json" in command and done.stdout.startswith("{"):
        bench = json.loads(done.stdout)
        result["says"] = "; ".join(
            f"{figure['name']} {figure['value']:.3g} {figure['unit']}" for figure in bench["figures"]
        )
    else:
        counted = [line for line in lines if " passed" in line or " failed" in line or " found, " in line]
        played = [line for line in lines if "fleet-years" in line]
        result["says"] = (played or counted or lines or ["no output"])[-1].strip("= ")
    if done.returncode != 0:
        print("\n".join(lines[-60:]), flush=True)
    result["skips"] = [line.strip() for line in lines if line.startswith("SKIPPED")]
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(json.dumps(result))
    return result


def main() -> int:
    """Runs what is left to run; exit code 1 when a step failed."""
    results = [
        run(name, command, KEPT / f"{content(reads(name))}-{number:02}.json")
        for number, (name, command) in enumerate(STEPS, start=1)
    ]
    print(f"\nProof of {content()}\n\n| step | result | seconds | says |\n|---|---|---|---|")
    for result in results:
        verdict = "passed" if result["passed"] else "FAILED"
        print(f"| {result['name']} | {verdict} | {result['took_s']} | {result['says']} |")
    for result in results:
        for skip in result["skips"]:
            print(f"skipped in {result['name']}: {skip}")
    return int(not all(result["passed"] for result in results))


if __name__ == "__main__":
    sys.exit(main())
