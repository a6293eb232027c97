"""Why no job begins: what there is, what must be, and what to do."""

from andon.model.config import Disk
from andon.rules.disk_closing import why_closed
from andon.rules.disk_marks import GIB, Room


def test_bytes_and_inodes_each_with_what_they_must_be() -> None:
    roomy = Room(total=100 * GIB, free=50 * GIB, inodes=1000, inodes_free=900)
    assert why_closed("/data", Room(total=100 * GIB, free=3 * GIB), Disk()) == (
        "/data has 3.0 GiB of 100.0 GiB free, and 13.3 GiB must be before a job begins here. Free space there."
    )
    short = Room(total=roomy.total, free=roomy.free, inodes=1000, inodes_free=12)
    assert why_closed("/", short, Disk()) == (
        "/ has 12 of 1000 inodes free, and 133 must be before a job begins here. Free space there."
    )
    both = why_closed("/", Room(total=100 * GIB, free=0, inodes=1000, inodes_free=0), Disk())
    assert "0 B of 100.0 GiB free" in both and "0 of 1000 inodes free" in both
