"""The spool: durable before it is acknowledged, whole after a crash, drained once, bounded."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from andon.runtime.ids import SortableIds
from andon.runtime.logging import logger
from andon.sim.virtual_time import VirtualClock
from andon.store import intake as intake_module
from andon.store.deliveries import Received
from andon.store.intake import PATIENCE_S, Intake, Kept
from andon.store.schema import deliveries
from andon.store.spool import Spool, SpoolFull, contents, framed, record
from andon.store.transaction import Store, Tx
from tests.support.running import read


def a_spool(folder: Path, clock: VirtualClock, seed: int = 1, **changes: int) -> Spool:
    return Spool(folder / "spool", SortableIds(clock, Random(seed)), **changes)


def received(number: int, body: bytes = b"{}") -> Received:
    at = VirtualClock().now()
    return Received(guid=f"guid-{number}", event="workflow_job", action="queued", received_at=at, body=body)


async def everything(spool: Spool) -> list[Received]:
    """What lies in the segments that nobody holds, oldest first; it stays there."""
    found: list[Received] = []
    seen: set[Path] = set()
    while True:
        async with spool.oldest(seen) as segment:
            if segment is None:
                return found
            seen.add(segment.path)
            found += segment.read().deliveries


def stored(store: Store) -> list[str]:
    return list(read(store, lambda c: list(c.execute(select(deliveries.c.guid).order_by(deliveries.c.seq)).scalars())))


def test_what_was_kept_is_there_after_the_process_is_gone(tmp_path: Path, clock: VirtualClock) -> None:
    spool = a_spool(tmp_path, clock)

    async def main() -> list[Received]:
        await asyncio.gather(*(spool.keep(received(number)) for number in range(50)))
        # Its process is gone without a word; the lock went with it.
        assert spool._segment is not None
        os.close(spool._segment)
        successor = a_spool(tmp_path, clock, seed=2)
        assert successor.waiting
        found = await everything(successor)
        successor.close()
        return found

    assert asyncio.run(main()) == [received(number) for number in range(50)]


def test_many_that_wait_share_one_sync(tmp_path: Path, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs = 0
    real = os.fsync

    def counted(handle: int) -> None:
        nonlocal syncs
        syncs += 1
        real(handle)

    monkeypatch.setattr(os, "fsync", counted)
    spool = a_spool(tmp_path, clock)

    async def main() -> None:
        await asyncio.gather(*(spool.keep(received(number)) for number in range(200)))

    asyncio.run(main())
    spool.close()
    assert 1 <= syncs < 20


def test_nothing_is_acknowledged_that_did_not_reach_the_disk(
    tmp_path: Path, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = a_spool(tmp_path, clock)

    async def main() -> None:
        await spool.keep(received(1))
        with monkeypatch.context() as broken:
            broken.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(5, "Input/output error")))
            with pytest.raises(OSError, match="Input/output"):
                await spool.keep(received(2))
        await spool.keep(received(3))
        assert [each.guid for each in await everything(spool)] == ["guid-1", "guid-3"]
        spool.close()

    asyncio.run(main())


def test_a_full_spool_refuses_and_keeps_what_it_has(tmp_path: Path, clock: VirtualClock) -> None:
    spool = a_spool(tmp_path, clock, max_bytes=10_000)

    async def main() -> None:
        await spool.keep(received(1, b"x" * 8000))
        with pytest.raises(SpoolFull, match="no more may"):
            await spool.keep(received(2, b"x" * 8000))
        assert len(await everything(spool)) == 1
        spool.close()

    asyncio.run(main())


def test_the_segment_of_a_process_that_lives_is_left_to_it(tmp_path: Path, clock: VirtualClock) -> None:
    mine, other = a_spool(tmp_path, clock), a_spool(tmp_path, clock, seed=2)

    async def main() -> None:
        await other.keep(received(1))
        assert await everything(mine) == []
        assert not mine.waiting, "nothing here is mine to drain"
        other.close()
        mine.look_around()
        assert mine.waiting
        assert len(await everything(mine)) == 1
        mine.close()

    asyncio.run(main())


@given(bodies=st.lists(st.binary(max_size=40), min_size=1, max_size=6), data=st.data())
def test_a_segment_cut_off_anywhere_gives_its_whole_records(bodies: list[bytes], data: st.DataObject) -> None:
    whole = [received(number, body) for number, body in enumerate(bodies)]
    written = b"".join(record(each) for each in whole)
    cut = data.draw(st.integers(0, len(written)))
    found = contents(written[:cut]).deliveries
    assert found == whole[: len(found)]
    assert len(b"".join(record(each) for each in found)) <= cut
    ends = [len(b"".join(record(each) for each in whole[: n + 1])) for n in range(len(whole))]
    assert len(found) == sum(1 for end in ends if end <= cut)


@given(flip=st.integers(0, 200), by=st.integers(1, 255))
def test_a_record_that_rotted_is_left_out_with_what_follows(flip: int, by: int) -> None:
    whole = [received(number, b"x" * 20) for number in range(4)]
    written = bytearray(b"".join(record(each) for each in whole))
    written[flip % len(written)] ^= by
    found = contents(bytes(written)).deliveries
    assert found == whole[: len(found)]
    assert len(found) < 4


class Patient:
    """A store whose writes can be held up or made to fail."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.away = False
        self.held: asyncio.Event | None = None

    async def write(self, work: Callable[[Tx], object]) -> object:
        if self.away:
            raise ConnectionError("the database is away")
        if self.held is not None:
            await self.held.wait()
        return await self._store.write(work)


def play(
    store: Store,
    clock: VirtualClock,
    folder: Path,
    story: Callable[[Intake, Patient], object],
    patience_s: float = 60.0,
) -> None:
    async def main() -> None:
        spool = a_spool(folder, clock)
        patient = Patient(store)
        await story(Intake(patient, spool, logger("test"), patience_s), patient)  # type: ignore[arg-type, misc]
        spool.close()

    asyncio.run(main())


def test_while_the_database_is_away_deliveries_are_kept_and_then_stored_once(
    store: Store, clock: VirtualClock, tmp_path: Path
) -> None:
    async def story(intake: Intake, database: Patient) -> None:
        woken: list[bool] = []
        intake.on_spooled(lambda: woken.append(intake.spooling))
        assert await intake.keep(received(1)) is Kept.STORED
        assert woken == [], "nothing to hand over"
        database.away = True
        assert await intake.keep(received(2)) is Kept.SPOOLED
        assert woken == [True], "whoever hands it over is woken, and finds it"
        with pytest.raises(ConnectionError):
            await intake.drain()
        database.away = False
        assert await intake.keep(received(3)) is Kept.SPOOLED, "it is not asked by each delivery"
        assert await intake.keep(received(1)) is Kept.SPOOLED, "a duplicate cannot be told yet"
        assert await intake.drain() == 2
        assert not intake.spooling
        assert await intake.keep(received(2)) is Kept.DUPLICATE

    play(store, clock, tmp_path, story)
    assert stored(store) == ["guid-1", "guid-2", "guid-3"]


def test_a_slow_database_is_not_waited_for_and_what_it_still_wrote_is_no_second_delivery(
    store: Store, clock: VirtualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_module, "PATIENCE_S", 0.01)

    async def story(intake: Intake, database: Patient) -> None:
        database.held = asyncio.Event()
        assert await intake.keep(received(1)) is Kept.SPOOLED
        database.held.set()
        assert await intake.drain() == 0, "the slow write was carried out after all"

    play(store, clock, tmp_path, story, PATIENCE_S)
    assert stored(store) == ["guid-1"]


def test_one_delivery_that_the_database_refuses_holds_up_no_other(
    store: Store, clock: VirtualClock, tmp_path: Path
) -> None:
    async def story(intake: Intake, database: Patient) -> None:
        database.away = True
        for number in (1, 2, 3):
            await intake.keep(received(number))
        database.away = False
        real = database.write

        async def refuses_the_second(work: Callable[[Tx], object]) -> object:
            def checked(tx: Tx) -> object:
                result = work(tx)
                if tx.connection.execute(select(deliveries.c.guid).where(deliveries.c.guid == "guid-2")).first():
                    raise ValueError("what no column takes")
                return result

            return await real(checked)

        database.write = refuses_the_second  # type: ignore[method-assign]
        assert await intake.drain() == 2

    play(store, clock, tmp_path, story)
    assert stored(store) == ["guid-1", "guid-3"]
    (aside,) = (tmp_path / "spool").glob("*.refused")
    assert [each.guid for each in contents(aside.read_bytes()).deliveries] == ["guid-2"]


def test_a_crash_half_way_through_a_drain_stores_nothing_twice(
    store: Store, clock: VirtualClock, tmp_path: Path
) -> None:
    async def story(intake: Intake, database: Patient) -> None:
        database.away = True
        for number in range(250):
            await intake.keep(received(number))
        database.away = False
        real, written = database.write, 0

        async def dies_after_two(work: Callable[[Tx], object]) -> object:
            nonlocal written
            written += 1
            if written > 2:
                raise ConnectionError("gone")
            return await real(work)

        database.write = dies_after_two  # type: ignore[method-assign]
        with pytest.raises(ConnectionError):
            await intake.drain()
        database.write = real  # type: ignore[method-assign]
        assert await intake.drain() == 50

    play(store, clock, tmp_path, story)
    assert len(stored(store)) == 250


def test_a_full_disk_does_not_hide_that_the_database_is_there_again(
    store: Store, clock: VirtualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(intake: Intake, database: Patient) -> None:
        database.away = True
        with monkeypatch.context() as full:
            full.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device")))
            with pytest.raises(OSError, match="No space"):
                await intake.keep(received(1))
        database.away = False
        assert await intake.keep(received(2)) is Kept.STORED

    play(store, clock, tmp_path, story)


def test_no_segment_is_drained_while_it_is_written(
    tmp_path: Path, clock: VirtualClock, count: Callable[[int], int]
) -> None:
    """Keeping and draining at once, as fast as both go: what was acknowledged is drained, once."""
    spool = a_spool(tmp_path, clock)
    each = count(10_000)

    async def main() -> list[str]:
        drained: list[str] = []
        kept = 0

        async def keep(part: int) -> None:
            nonlocal kept
            for number in range(each // 4):
                await spool.keep(received(part * each + number))
                kept += 1

        async def drain() -> None:
            async with spool.oldest(set()) as segment:
                if segment is not None:
                    drained.extend(one.guid for one in (await asyncio.to_thread(segment.read)).deliveries)
                    await asyncio.to_thread(segment.remove)

        keeping = [asyncio.create_task(keep(part)) for part in range(4)]
        while not all(task.done() for task in keeping):
            await drain()
        await asyncio.gather(*keeping)
        while spool.waiting:
            await drain()
        assert len(drained) == kept
        return drained

    drained = asyncio.run(main())
    assert len(set(drained)) == len(drained)
    spool.close()


def test_a_segment_that_was_spoilt_is_kept_for_people_and_holds_up_no_other(
    store: Store, clock: VirtualClock, tmp_path: Path
) -> None:
    folder = tmp_path / "spool"
    folder.mkdir()
    whole = [received(number) for number in range(6)]
    spoilt = bytearray(b"".join(record(one) for one in whole[:3]))
    spoilt[len(record(whole[0])) + 12] ^= 1
    (folder / "spl_1.segment").write_bytes(spoilt)
    unknown = framed(msgspec.msgpack.encode({"of": "a newer version"}))
    (folder / "spl_2.segment").write_bytes(record(whole[3]) + unknown + record(whole[4]))
    (folder / "spl_3.segment").write_bytes(record(whole[5]))

    async def story(intake: Intake, database: Patient) -> None:
        assert await intake.drain() == 4
        assert not intake.spooling

    play(store, clock, tmp_path, story)
    assert stored(store) == ["guid-0", "guid-3", "guid-4", "guid-5"]
    kept = sorted(path.read_bytes() for path in folder.glob("*.refused"))
    assert sorted([bytes(spoilt[len(record(whole[0])) :]), unknown]) == kept


def test_two_replicas_on_one_folder_drain_each_segment_once(store: Store, clock: VirtualClock, tmp_path: Path) -> None:
    async def main() -> None:
        left = a_spool(tmp_path, clock, seed=3)
        for number in range(5):
            await left.keep(received(number))
        left.close()
        spools = [a_spool(tmp_path, clock, seed=seed) for seed in (4, 5)]
        intakes = [Intake(store, spool, logger("test")) for spool in spools]
        assert sum(await asyncio.gather(*(intake.drain() for intake in intakes))) == 5
        for intake in intakes:
            await intake.drain()
            assert not intake.spooling
        for spool in spools:
            spool.close()

    asyncio.run(main())
    assert len(stored(store)) == 5


def test_a_batch_is_cut_by_bytes_too(store: Store, clock: VirtualClock, tmp_path: Path) -> None:
    sizes: list[int] = []

    async def story(intake: Intake, database: Patient) -> None:
        database.away = True
        for number in range(4):
            await intake.keep(received(number, b"x" * 9_000_000))
        database.away = False
        real = database.write

        async def counted(work: Callable[[Tx], object]) -> object:
            done = await real(work)
            sizes.append(len(done) if isinstance(done, list) else 0)
            return done

        database.write = counted  # type: ignore[method-assign]
        assert await intake.drain() == 4

    play(store, clock, tmp_path, story)
    assert sizes == [1, 1, 1, 1]
