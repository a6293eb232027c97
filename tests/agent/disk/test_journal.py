"""The deletion journal: nothing goes without a line that was there before it, whatever ends the agent (R49)."""

import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from andon.agent.disk.history import FILE_BYTES, History
from andon.agent.disk.journal import AT_ONCE, RECORD_BYTES, DeletionJournal, JournalUnusable, Stage
from andon.model.disk import Deletion
from andon.runtime.logging import logger
from tests.support.as_nobody import as_nobody

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def deletion(number: int, **changes: object) -> Deletion:
    wanted = Deletion(
        id=f"del_{number}",
        at=NOW,
        path=f"/srv/runs/0/7-{number}-build-0123456789",
        path_class="dead",
        actor="agent:keeper",
        reason="its run is over",
        lease=f"7-{number}-build-0123456789",
    )
    return msgspec.structs.replace(wanted, **changes)


class Place:
    """One journal that an agent may be ended over."""

    def __init__(self, folder: Path, records: int = 8) -> None:
        self.folder, self.records = folder, records
        self.history = History(folder / "deletions.jsonl", logger("agent"))
        self.journal = self.opened()

    def opened(self) -> DeletionJournal:
        return DeletionJournal(self.folder / "journal", self.history, logger("agent"), records=self.records)

    def restart(self) -> DeletionJournal:
        self.journal.close()
        self.journal = self.opened()
        return self.journal

    def stages(self) -> dict[str, Stage]:
        return {one.deletion.id: one.stage for one in self.journal.entries()}


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Place]:
    kept = Place(tmp_path)
    yield kept
    kept.journal.close()


def test_an_entry_goes_from_intent_to_deleted_and_is_told_until_acknowledged(kept: Place) -> None:
    journal = kept.journal
    journal.begin(deletion(1), "one")
    assert journal.unheard() == () and journal.took(deletion(1).lease or "")
    journal.moved("del_1")
    told = journal.unheard()
    assert told == (deletion(1),)
    journal.emptied("one", 4096)
    journal.acknowledge(told)
    assert journal.unheard() == (deletion(1, bytes=4096),), "what is known since is told again"
    journal.acknowledge(journal.unheard())
    assert journal.unheard() == ()
    told = [(line.deletion.bytes, line.stage) for line in kept.history.lines()]
    assert told == [(None, "intended"), (None, "moved"), (4096, "deleted")]


def test_what_did_not_happen_is_told_to_nobody(kept: Place) -> None:
    kept.journal.begin(deletion(1), "one")
    kept.journal.taken_back("del_1")
    assert kept.journal.unheard() == () and not kept.journal.took(deletion(1).lease or "")
    assert [line.stage for line in kept.history.lines()] == ["intended", "taken_back"]


@pytest.mark.parametrize(("trashed", "stage"), [({"one"}, Stage.MOVED), (set[str](), Stage.TAKEN_BACK)])
def test_an_agent_ended_between_intent_and_word_looks_for_itself(kept: Place, trashed: set[str], stage: Stage) -> None:
    kept.journal.begin(deletion(1), "one")
    journal = kept.restart()
    assert kept.stages() == {"del_1": Stage.INTENDED}
    assert [one.deletion.id for one in journal.recover(trashed)] == ["del_1"]
    assert kept.stages() == {"del_1": stage}
    assert kept.restart().recover(trashed) == ()


def test_after_a_reboot_what_stands_there_says_what_became_of_it(kept: Place, tmp_path: Path) -> None:
    there, gone = tmp_path / "there", tmp_path / "gone"
    there.mkdir()
    kept.journal.begin(deletion(1, path=str(there)), "one")
    kept.journal.begin(deletion(2, path=str(gone)), "two")
    kept.journal.close()
    (tmp_path / "journal").unlink()
    kept.journal = kept.opened()
    assert {one.deletion.id: one.stage for one in kept.journal.recover(())} == {
        "del_1": Stage.TAKEN_BACK,
        "del_2": Stage.MOVED,
    }
    assert kept.journal.recover(()) == ()


def test_a_word_that_was_half_written_leaves_the_intent(kept: Place) -> None:
    kept.journal.begin(deletion(1), "one")
    before = (kept.folder / "journal").read_bytes()
    kept.journal.moved("del_1")
    after = (kept.folder / "journal").read_bytes()
    first = next(at for at in range(len(after)) if after[at] != before[at])
    (kept.folder / "journal").write_bytes(after[: first + 40] + before[first + 40 :])
    kept.restart()
    assert kept.stages() == {"del_1": Stage.INTENDED}


def test_the_oldest_settled_one_makes_room_and_none_in_the_middle_does(kept: Place) -> None:
    kept.journal.begin(deletion(0), "zero")
    for number in range(1, 30):
        kept.journal.begin(deletion(number), f"n{number}")
        kept.journal.moved(f"del_{number}")
    assert kept.stages()["del_0"] is Stage.INTENDED and kept.stages()["del_29"] is Stage.MOVED
    assert len(kept.stages()) <= kept.records
    assert kept.restart().took(deletion(0).lease or "")
    gone = {line.deletion.id for line in kept.history.lines() if line.stage == "moved"}
    assert gone == {f"del_{number}" for number in range(1, 30)}


def test_with_every_place_in_the_middle_nothing_more_may_go(kept: Place) -> None:
    for number in range(kept.records):
        kept.journal.begin(deletion(number), f"n{number}")
    with pytest.raises(JournalUnusable, match="8 deletions are under way"):
        kept.journal.begin(deletion(9), "nine")
    kept.journal.seen(deletion(10, actor="foreign"))
    assert [one.id for one in kept.journal.unheard()] == ["del_10"], "somebody else's is told all the same"


def test_texts_of_any_length_fit(kept: Place) -> None:
    long = deletion(
        1, path="/" + "ä" * 4000, reason="\x01" * 900, evidence=tuple(f"The process {n} did it." * 9 for n in range(40))
    )
    kept.journal.begin(long, "one")
    kept.restart()
    (entry,) = kept.journal.entries()
    assert entry.deletion.path.startswith("/ää") and entry.trash_name == "one"


def test_one_sync_carries_so_many(tmp_path: Path) -> None:
    kept = Place(tmp_path, records=2 * AT_ONCE)
    for number in range(AT_ONCE + 20):
        kept.journal.begin(deletion(number), f"n{number}")
        kept.journal.moved(f"del_{number}")
    first = kept.journal.unheard()
    assert [one.id for one in first] == [f"del_{number}" for number in range(AT_ONCE)]
    kept.journal.acknowledge(first)
    assert len(kept.journal.unheard()) == 20
    kept.journal.close()


def test_on_a_full_tmpfs_it_goes_on_and_a_new_one_refuses(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a tmpfs takes root")
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], check=True)
    try:
        journal = DeletionJournal(
            folder / "journal", History(folder / "history", logger("agent")), logger("agent"), records=8
        )
        with (folder / "rest").open("wb", buffering=0) as rest, pytest.raises(OSError, match="No space left"):
            while True:
                rest.write(b"x" * 4096)
        journal.begin(deletion(1), "one")
        journal.moved("del_1")
        assert [one.id for one in journal.unheard()] == ["del_1"], "told, though its history could not be written"
        journal.close()
        (folder / "journal").unlink()
        with (folder / "rest").open("ab", buffering=0) as rest, pytest.raises(OSError, match="No space left"):
            while True:
                rest.write(b"x" * 4096)
        none = DeletionJournal(
            folder / "journal", History(folder / "history", logger("agent")), logger("agent"), records=8
        )
        with pytest.raises(JournalUnusable, match="No space left"):
            none.begin(deletion(2), "two")
        (folder / "rest").unlink()
        none.begin(deletion(2), "two")
        none.close()
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_the_history_keeps_two_files_and_skips_what_was_cut_off(tmp_path: Path) -> None:
    history = History(tmp_path / "deletions.jsonl", logger("agent"))
    history.add(deletion(1), "moved")
    with (tmp_path / "deletions.jsonl").open("ab") as file:
        file.write(b'{"deletion": {"id": "del_\n\xff\n')
    history.add(deletion(2), "moved")
    assert [line.deletion.id for line in history.lines()] == ["del_1", "del_2"]
    with (tmp_path / "deletions.jsonl").open("ab") as file:
        file.write(b"\n" * (FILE_BYTES - 300))
    history.add(deletion(3), "moved")
    history.add(deletion(4), "moved")
    assert [line.deletion.id for line in history.lines()] == ["del_1", "del_2", "del_3", "del_4"]
    assert (tmp_path / "deletions.jsonl").stat().st_size < 2000


def test_others_read_neither(tmp_path: Path) -> None:
    kept = Place(tmp_path)
    kept.journal.begin(deletion(1), "one")
    kept.journal.moved("del_1")
    for name in ("journal", "deletions.jsonl"):
        assert (tmp_path / name).stat().st_mode & 0o077 == 0
    kept.journal.close()


class Ends(RuleBasedStateMachine):
    """The journal against a plain list, ended at any moment: what was intended is never forgotten."""

    folder: Path
    count = 0

    def __init__(self) -> None:
        super().__init__()
        Ends.count += 1
        folder = self.folder / str(Ends.count)
        folder.mkdir()
        self.kept = Place(folder, records=6)
        self.made = 0
        self.open: dict[str, str] = {}
        self.in_trash: set[str] = set()
        self.done: list[str] = []

    @precondition(lambda self: len(self.open) < 5)
    @rule()
    def begins(self) -> None:
        self.made += 1
        self.kept.journal.begin(deletion(self.made), f"n{self.made}")
        self.open[f"del_{self.made}"] = f"n{self.made}"

    @precondition(lambda self: self.open)
    @rule(data=st.data(), word=st.booleans())
    def renames(self, data: st.DataObject, word: bool) -> None:
        id = data.draw(st.sampled_from(sorted(self.open)))
        self.in_trash.add(self.open[id])
        if word:
            self.kept.journal.moved(id)
            del self.open[id]
            self.done.append(id)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def gives_up(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(sorted(self.open)))
        if self.open[id] not in self.in_trash:
            self.kept.journal.taken_back(id)
            del self.open[id]

    @rule()
    def is_ended(self) -> None:
        self.kept.restart().recover(self.in_trash)
        self.done += [id for id, name in self.open.items() if name in self.in_trash]
        self.open.clear()

    @invariant()
    def remembers(self) -> None:
        stages = self.kept.stages()
        assert all(stages.get(id) is Stage.INTENDED for id in self.open)
        assert all(stages.get(id, Stage.MOVED) is Stage.MOVED for id in self.done)
        told = {line.deletion.id for line in self.kept.history.lines() if line.stage == "moved"}
        assert told == set(self.done)

    def teardown(self) -> None:
        self.kept.journal.close()


def test_ended_at_any_moment_it_forgets_nothing(tmp_path: Path) -> None:
    Ends.folder = tmp_path
    run_state_machine_as_test(Ends, settings=settings(max_examples=40, stateful_step_count=30, deadline=None))


def test_a_journal_of_another_version_is_overwritten_in_its_turn(kept: Place) -> None:
    kept.journal.begin(deletion(1), "one")
    content = bytearray((kept.folder / "journal").read_bytes())
    content[RECORD_BYTES : RECORD_BYTES + 10] = b"andon-dele"
    (kept.folder / "journal").write_bytes(content)
    kept.restart().moved("del_1")
    assert kept.stages() in ({"del_1": Stage.MOVED}, {})


def test_without_the_right_to_write_nothing_may_go(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)
    log = logger("agent")

    def try_it() -> None:
        journal = DeletionJournal(Path("closed/journal"), History(Path("closed/history"), log), log, records=8)
        with pytest.raises(JournalUnusable):
            journal.begin(deletion(1), "one")

    if os.geteuid() != 0:
        pytest.skip("a folder that is closed to us takes another user: run as root")
    tmp_path.chmod(0o755)
    as_nobody(tmp_path, try_it)
