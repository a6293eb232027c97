"""A record survives an end in the middle of its writing, byte by byte, and text from elsewhere."""

import hashlib
import os

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.agent.leases.records import (
    FILE_BYTES,
    HALF_BYTES,
    BrokenRecord,
    Unrecordable,
    decode,
    encode_half,
    read_record,
    write_record,
)
from andon.model.workspaces import JobIdentity, LeaseRecord


def torn(content: bytes, half: bytes, sequence: int, done: int) -> bytes:
    """The file after the first `done` bytes of a write."""
    at = (sequence % 2) * HALF_BYTES
    written = half[:done]
    return content[:at] + written + content[at + len(written) :]


def test_an_end_at_any_byte_of_a_write_leaves_the_older_record(make_record):
    content = bytes(FILE_BYTES)
    older = make_record("one")
    content = torn(content, encode_half(older, 1), 1, HALF_BYTES)
    assert decode(content) == (older, 1)
    for sequence, slot in enumerate(range(1, 6), start=2):
        newer = msgspec.structs.replace(older, slot=slot, path=older.path + "x" * slot)
        half = encode_half(newer, sequence)
        for done in range(len(half)):
            assert decode(torn(content, half, sequence, done)) == (older, sequence - 1), done
        content = torn(content, half, sequence, len(half))
        assert decode(content) == (newer, sequence)
        older = newer


@given(damage=st.lists(st.tuples(st.integers(0, FILE_BYTES - 1), st.integers(0, 255)), max_size=6))
def test_what_is_read_was_once_written_or_is_said_to_be_broken(damage):
    first = record_of(JobIdentity(repository="o/r", run_id=7, attempt=1, job="build", runner="r"))
    second = msgspec.structs.replace(first, slot=5)
    content = bytearray(torn(bytes(FILE_BYTES), encode_half(first, 1), 1, HALF_BYTES))
    half = encode_half(second, 2)
    content[: len(half)] = half
    for at, value in damage:
        content[at] = value
    try:
        assert decode(bytes(content)) in [(first, 1), (second, 2)]
    except BrokenRecord:
        assert len(damage) >= 2


hostile = st.text(max_size=3000) | st.sampled_from(["\x00" * 3000, "\n" * 3000, "../" * 2000, "\U0001f4a3" * 1500])


@given(texts=st.fixed_dictionaries({name: hostile for name in JobIdentity.__struct_fields__[3:]}), name=hostile)
def test_text_from_elsewhere_always_fits(texts, name):
    record = record_of(JobIdentity(repository=name, run_id=7, attempt=1, **texts))
    half = encode_half(record, 1)
    assert len(half) <= HALF_BYTES
    found, _ = decode(torn(bytes(FILE_BYTES), half, 1, len(half)))
    # What the lease itself hangs on is never cut, and a path is whole or not there.
    assert (found.id, found.path, found.inode, found.boot_id) == (record.id, record.path, 2, "boot")
    assert found.job.workspace in ("", record.job.workspace) and found.job.tracking in ("", record.job.tracking)


def record_of(job: JobIdentity) -> LeaseRecord:
    fields = {"id": "i", "state": "leased", "path": "/r/i", "device": 1, "inode": 2, "slot": 0, "claim": None}
    more = {"job": job, "boot_id": "boot", "process": None, "made_at": "2026-01-01T00:00:00Z"}
    return msgspec.convert(fields | more, LeaseRecord)


def test_a_record_that_cannot_fit_is_refused_before_it_is_written(make_record, tmp_path):
    record = make_record("one")
    file = os.open(tmp_path / "lease", os.O_RDWR | os.O_CREAT)
    try:
        os.posix_fallocate(file, 0, FILE_BYTES)
        write_record(file, record, 1)
        for path in ("/" + "x" * 5000, "/not-unicode-\udcff"):
            with pytest.raises(Unrecordable):
                write_record(file, msgspec.structs.replace(record, path=path), 2)
        assert read_record(file) == (record, 1)
    finally:
        os.close(file)


def test_nonsense_is_broken_and_a_newer_version_is_not_guessed_at():
    for content in (b"", b"x" * FILE_BYTES, bytes(FILE_BYTES)):
        with pytest.raises(BrokenRecord, match="neither half"):
            decode(content)
    half = encode_half(record_of(JobIdentity(repository="o", run_id=1, attempt=1, job="j", runner="r")), 1)
    data = half.split(b"\n", 1)[1].replace(b'"leased"', b'"frozen"')
    digest = hashlib.sha256(b"%016x " % 1 + data).hexdigest().encode()
    newer = b"andon-lease 1 %016x %04x %s\n%s" % (1, len(data), digest, data)
    with pytest.raises(BrokenRecord, match="this version cannot read it"):
        decode(newer.ljust(FILE_BYTES, b"\0"))
