"""How a lease's record lies in its file: two halves, written in turn, each with its own checksum.

A SIGKILL in the middle of a write leaves the older half whole. Nothing is ever appended or replaced,
so a write takes no room: it works on a filesystem without a free byte (host-facts.md 1.6).

Of two whole halves the one with the higher sequence counts.
"""

import os

import msgspec

from andon.agent.checked_record import cut_text, decode_record, encode_record, head_bytes
from andon.model.workspaces import LeaseRecord
from andon.runtime.errors import AndonError

HALF_BYTES = 4096
FILE_BYTES = 2 * HALF_BYTES
_KIND = "lease"

_TEXTS = {"ref": 300, "repository": 300, "job": 200, "runner": 200, "event": 60, "sha": 80}
"""Texts of the job that may be cut, with the most bytes of JSON that each keeps."""
_PATHS = ("temp", "workspace", "tracking")
"""Fields that mean something else when cut: they are left out instead, the least missed first."""


class Unrecordable(AndonError):
    """A record that does not fit into its file, or holds text that is not Unicode."""


class BrokenRecord(AndonError):
    """A file without one whole half, or of another version."""


def _fitting(record: LeaseRecord) -> bytes:
    room = HALF_BYTES - head_bytes(_KIND)
    try:
        data = msgspec.json.encode(record)
        if len(data) <= room:
            return data
        job = msgspec.structs.replace(
            record.job, **{name: cut_text(getattr(record.job, name), most) for name, most in _TEXTS.items()}
        )
        for name in (None, *_PATHS):
            if name is not None:
                job = msgspec.structs.replace(job, **{name: ""})
            data = msgspec.json.encode(msgspec.structs.replace(record, job=job))
            if len(data) <= room:
                return data
    except UnicodeEncodeError:
        raise Unrecordable(f"The lease {record.id!r} holds text that is not Unicode, so it cannot be kept.") from None
    raise Unrecordable(f"The lease {record.id!r} needs more than {room} bytes; give the agent a shorter root.")


def encode_half(record: LeaseRecord, sequence: int) -> bytes:
    """What one half holds; long texts of the job are cut. Raises Unrecordable."""
    return encode_record(_KIND, sequence, _fitting(record))


def decode(content: bytes) -> tuple[LeaseRecord, int]:
    """The newest record in a lease's file, and its sequence. Raises BrokenRecord."""
    halves = [decode_record(_KIND, content[at : at + HALF_BYTES]) for at in (0, HALF_BYTES)]
    found = max((half for half in halves if half is not None), default=None)
    if found is None:
        raise BrokenRecord("neither half of it is whole")
    try:
        return msgspec.json.decode(found[1], type=LeaseRecord), found[0]
    except msgspec.MsgspecError as error:
        raise BrokenRecord(f"this version cannot read it ({error})") from None


def read_record(file: int) -> tuple[LeaseRecord, int]:
    """The newest record behind a descriptor, and its sequence. Raises BrokenRecord, OSError."""
    return decode(os.pread(file, FILE_BYTES, 0))


def write_record(file: int, record: LeaseRecord, sequence: int) -> None:
    """Writes over the older half; `sequence` is one more than the last. Raises Unrecordable, OSError."""
    half = encode_half(record, sequence)
    done = os.pwrite(file, half, (sequence % 2) * HALF_BYTES)
    if done != len(half):
        raise OSError(f"only {done} of {len(half)} bytes of a lease were written")
