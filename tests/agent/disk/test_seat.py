"""One guard on each host, whatever the number of agents, and its seat is free when it is gone."""

import os
import signal
from pathlib import Path

import structlog

from andon.agent.disk.seat import Seat
from andon.runtime.logging import logger

LOG = logger("agent")


def test_one_has_it_and_the_next_gets_it_when_that_one_goes(tmp_path: Path) -> None:
    first, second = Seat(tmp_path / "guard.lock", LOG), Seat(tmp_path / "guard.lock", LOG)
    assert first.taken() and first.taken() and not second.taken()
    first.close()
    assert second.taken() and not first.taken()
    second.close()


def test_the_kernel_gives_it_free_when_its_holder_is_ended(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, b"1" if Seat(tmp_path / "guard.lock", LOG).taken() else b"0")
        signal.pause()
        os._exit(0)
    assert os.read(reading, 1) == b"1"
    mine = Seat(tmp_path / "guard.lock", LOG)
    assert not mine.taken()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert mine.taken()
    mine.close()
    os.close(reading)
    os.close(writing)


def test_who_holds_a_lock_whose_file_was_replaced_does_not_have_the_seat(tmp_path: Path) -> None:
    path = tmp_path / "guard.lock"
    old, new = Seat(path, LOG), Seat(path, LOG)
    assert old.taken()
    path.unlink()
    assert new.taken() and not old.taken(), "two agents must not both think so"
    new.close()


def test_where_there_is_no_place_for_it_there_is_no_guard_and_that_is_said_once(tmp_path: Path) -> None:
    one = Seat(tmp_path / "missing" / "guard.lock", LOG)
    with structlog.testing.capture_logs() as said:
        assert not one.taken() and not one.taken()
    assert [each["event"] for each in said] == ["guard.no_seat"]
