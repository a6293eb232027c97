"""How a lease's record lies in its file: two halves, written in turn, each with its own checksum.

A SIGKILL in the middle of a write leaves the older half whole. Nothing is ever appended or replaced,
so a write takes no room: it works on a filesystem without a free byte (host-facts.md 1.6).

A half is one line, `andon-lease 1 <sequence> <length> <sha256>`, the numbers in hex, and then so many
bytes of JSON (a `LeaseRecord`). The checksum is of the sequence as written, a blank, and the JSON.
Of two whole halves the one with the higher sequence counts.
"""

import hashlib
import os
import re

import msgspec

from andon.model.workspaces import LeaseRecord
from andon.runtime.errors import AndonError

HALF_BYTES = 4096
FILE_BYTES = 2 * HALF_BYTES
_HEAD = re.compile(rb"andon-lease 1 ([0-9a-f]{16}) ([0-9a-f]{4}) ([0-9a-f]{64})\n")
_HEAD_BYTES = len("andon-lease 1 ") + 16 + 1 + 4 + 1 + 64 + 1

_TEXTS = {"ref": 300, "repository": 300, "job": 200, "runner": 200, "event": 60, "sha": 80}
"""Texts of the job that may be cut, with the most bytes of JSON that each keeps."""
_PATHS = ("temp", "workspace", "tracking")
"""Fields that mean something else when cut: they are left out instead, the least missed first."""


class Unrecordable(AndonError):
    """A record that does not fit into its file, or holds text that is not Unicode."""


class BrokenRecord(AndonError):
    """A file without one whole half, or of another version."""


def _cut(text: str, most: int) -> str:
    """The beginning of `text` whose JSON is at most `most` bytes long, quotes left out."""
    size = 0
    for at, letter in enumerate(text):
        size += len(msgspec.json.encode(letter)) - 2
        if size > most:
            return text[:at]
    return text


def _fitting(record: LeaseRecord) -> bytes:
    room = HALF_BYTES - _HEAD_BYTES
    try:
        data = msgspec.json.encode(record)
        if len(data) <= room:
            return data
        job = msgspec.structs.replace(
            record.job, **{name: _cut(getattr(record.job, name), most) for name, most in _TEXTS.items()}
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
    data, number = _fitting(record), f"{sequence:016x}"
    digest = hashlib.sha256(number.encode() + b" " + data).hexdigest()
    return f"andon-lease 1 {number} {len(data):04x} {digest}\n".encode() + data


def _decode_half(half: bytes) -> tuple[int, bytes] | None:
    head = _HEAD.match(half)
    if head is None:
        return None
    data = half[_HEAD_BYTES : _HEAD_BYTES + int(head[2], 16)]
    whole = hashlib.sha256(head[1] + b" " + data).hexdigest().encode() == head[3]
    return (int(head[1], 16), data) if whole else None


def decode(content: bytes) -> tuple[LeaseRecord, int]:
    """The newest record in a lease's file, and its sequence. Raises BrokenRecord."""
    halves = [_decode_half(content[at : at + HALF_BYTES]) for at in (0, HALF_BYTES)]
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
