"""What the official runner calls before and after a job: for now it only says where the job runs.

A program of its own (standard library only, never imported by Andon). Whatever happens it exits 0
and ends within ten seconds: the runner has no deadline of its own for hooks (interfaces.md 4).
"""
# Job code waits for this program, so it imports little; and nobody can hand it an environment.
# ruff: noqa: PTH100, PTH118, PTH120, PTH123, TID251

import json
import os
import signal
import sys

DEADLINE_S = 10


def board(folder: str) -> str:
    """The address of the board as the agent last heard it; empty when it is not known."""
    try:
        with open(os.path.join(folder, "notice.json"), encoding="utf-8") as file:
            return str(json.load(file)["public_url"]).rstrip("/")
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def main() -> None:
    host = os.environ.get("ANDON_HOST", "unknown")
    slot = os.environ.get("ANDON_SLOT", "unknown")
    address = board(os.path.dirname(os.path.abspath(__file__)))
    said = f"Andon: host {host}, slot {slot}"
    if sys.argv[1:] == ["started"]:
        sys.stdout.write(f"{said}, {address}/\n" if address else f"{said}\n")
    sys.stdout.flush()


def stop(_signal: int, _frame: object) -> None:
    os._exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGALRM, stop)
    signal.alarm(DEADLINE_S)
    try:
        main()
    finally:
        os._exit(0)
