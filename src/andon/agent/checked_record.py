"""A record with its sequence and a checksum, so that one that was half written is told from a whole one.

One line, `andon-KIND 1 <sequence> <length> <sha256>`, the numbers in hex, and then so many bytes of JSON. The
checksum is of the sequence as written, a blank, and the JSON. Written in place into room that is taken already, it
needs none: it works on a filesystem without a free byte (host-facts.md 1.6).
"""

import hashlib
import re

import msgspec

_HEAD = re.compile(rb"andon-([a-z]+) 1 ([0-9a-f]{16}) ([0-9a-f]{4}) ([0-9a-f]{64})\n")


def head_bytes(kind: str) -> int:
    """How long the line before the JSON is."""
    return len(f"andon-{kind} 1 ") + 16 + 1 + 4 + 1 + 64 + 1


def encode_record(kind: str, sequence: int, data: bytes) -> bytes:
    """The record; `data` is JSON of at most 65,535 bytes."""
    number = f"{sequence:016x}"
    return f"andon-{kind} 1 {number} {len(data):04x} {_digest(number.encode(), data)}\n".encode() + data


def decode_record(kind: str, content: bytes) -> tuple[int, bytes] | None:
    """The sequence and the JSON; None when it is not whole, or another kind's."""
    head = _HEAD.match(content)
    if head is None or head[1] != kind.encode():
        return None
    data = content[head.end() : head.end() + int(head[3], 16)]
    return (int(head[2], 16), data) if _digest(head[2], data).encode() == head[4] else None


def cut_text(text: str, most: int) -> str:
    """The beginning of `text` whose JSON is at most `most` bytes long, quotes left out."""
    size = 0
    for at, letter in enumerate(text):
        size += len(msgspec.json.encode(letter)) - 2
        if size > most:
            return text[:at]
    return text


def _digest(number: bytes, data: bytes) -> str:
    return hashlib.sha256(number + b" " + data).hexdigest()
