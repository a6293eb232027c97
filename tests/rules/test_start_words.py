"""The sentence of a failed start probe says what, where, and what to do."""

import errno

from andon.rules.start_words import cannot_start, takes_too_long


def test_each_answer_of_the_kernel_has_its_advice() -> None:
    said = cannot_start("writing a file", "/root/slots/3", errno.ENOSPC, "No space left on device")
    assert said == (
        "No runner can start on this slot: writing a file failed in /root/slots/3 (No space left on device). "
        "Free bytes or inodes there."
    )
    assert "pids.max" in cannot_start("starting a process", "/x", errno.EAGAIN, "again")
    assert "writable" in cannot_start("making a directory", "/x", errno.EROFS, "read-only")
    for number in (errno.ENOSPC, errno.EAGAIN):
        assert "cgroup.max.descendants" in cannot_start("making a cgroup", "/x", number, "used up")
    assert "comes back by itself" in cannot_start("removing a directory", "/x", 9999, "?")
    assert "5 s" in takes_too_long("/x", 5.0)
