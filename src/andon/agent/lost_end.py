"""Writes the end of a runner that nobody saw, or that never began: by the agent, for a dead shim."""

import os
from datetime import datetime
from pathlib import Path

import msgspec

from andon.agent.claim_record import MAX_TAIL_BYTES, Phase, StatusRecord, bounded_tail, write_status
from andon.agent.held import Held
from andon.runtime.redaction import redact_text

CANNOT_START = 126
"""The exit code of a command that could not be run, as shells have it."""


def last_words(folder: Path) -> str:
    """The end of what the shim kept of the runner's output, the JIT config hidden already."""
    for name in ("output.rest.log", "output.log"):
        try:
            with (folder / name).open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - MAX_TAIL_BYTES))
                text = file.read(MAX_TAIL_BYTES).decode("utf-8", "replace")
        except OSError:
            continue
        if text:
            return "".join(char for char in text if char >= " " or char in "\n\t")
    return ""


def unseen_end(one: Held, *, boot: str, now: datetime) -> StatusRecord:
    """The end of a runner that is gone without a word: neither exit code nor signal is known."""
    status = one.status
    if status is None or status.pid is None:
        why = "its start was broken off before it had a process"
    elif status.boot_id != boot:
        why = "the host was restarted"
    else:
        why = "its shim was ended before it"
    tail = bounded_tail(f"{last_words(one.folder)}\nandon: nobody saw how this runner ended: {why}.\n".lstrip())
    before = status or StatusRecord(phase=Phase.STARTING, boot_id=boot)
    return msgspec.structs.replace(before, phase=Phase.ENDED, ended_at=now, exit=None, signal=None, tail=tail)


def failed_start(reason: str, *, boot: str, now: datetime) -> StatusRecord:
    """The end of a runner that could not be started; `reason` is one sentence."""
    tail = bounded_tail(f"andon: {redact_text(reason)}\n")
    return StatusRecord(phase=Phase.ENDED, boot_id=boot, ended_at=now, exit=CANNOT_START, tail=tail)


def record_end(folder: Path, end: StatusRecord) -> bool:
    """Writes `end` down; False where the disk does not take it (then it is held in memory)."""
    try:
        write_status(folder, end)
    except OSError:
        return False
    return True
