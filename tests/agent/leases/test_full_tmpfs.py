"""Leases on a tmpfs without a free byte, and without a free inode."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from andon.agent.leases.place import open_place
from andon.agent.leases.spares import NoSpare
from andon.agent.leases.table import LeaseTable
from andon.agent.process_identity import boot_id
from andon.runtime.files import write_atomically
from andon.runtime.logging import logger


@pytest.fixture
def small_tmpfs(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 256 KiB of its own."""
    if os.getuid() != 0:
        pytest.skip("kernel: mounting a tmpfs needs root")
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs", folder], check=False).returncode:
        pytest.skip("kernel: no tmpfs can be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_leases_go_on_when_their_tmpfs_is_full(small_tmpfs, make_record):
    place = open_place(small_tmpfs / "place")
    table = LeaseTable.open(place, boot_id(), logger("test"), spares=8)
    try:
        ballast = small_tmpfs / "ballast"
        with ballast.open("wb") as file, pytest.raises(OSError, match="No space"):
            while True:
                os.write(file.fileno(), b"x" * 4096)
        with pytest.raises(OSError, match="No space"):
            write_atomically(small_tmpfs / "one-more", b"x")
        for number in range(8):
            record = make_record(f"lease-{number}")
            table.take(record)
            for slot in range(5):
                table.update(msgspec.structs.replace(record, slot=slot))
        with pytest.raises(NoSpare, match="no room"):
            table.take(make_record("one-too-many"))
        assert table.upkeep().short and {record.slot for record in table.records()} == {4}
        # Its room comes back to the stock at once.
        with table.try_exclusive("lease-0"):
            table.drop("lease-0")
        table.take(make_record("again"))
        ballast.unlink()
        assert not table.upkeep().short and len(list(place.spare.iterdir())) == 8
    finally:
        table.close()


def test_leases_go_on_when_no_inode_is_left(small_tmpfs, make_record):
    place = open_place(small_tmpfs / "place")
    table = LeaseTable.open(place, boot_id(), logger("test"), spares=4)
    try:
        subprocess.run(["mount", "-o", "remount,nr_inodes=12", small_tmpfs], check=True)
        with pytest.raises(OSError, match="No space"):
            for number in range(12):
                (small_tmpfs / f"file-{number}").touch()
        for number in range(4):
            table.take(make_record(f"lease-{number}"))
        with pytest.raises(NoSpare):
            table.take(make_record("one-too-many"))
        assert len(table.records()) == 4
    finally:
        table.close()
