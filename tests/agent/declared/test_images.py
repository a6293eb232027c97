"""Images go by their engine's own command, always with an age, never beside a job (no engine here: a script stands in).

The script is a real program on the agent's PATH that writes down its arguments and frees real bytes.
"""

import asyncio
import os
from pathlib import Path

import pytest

from andon.agent.declared import images as images_module
from andon.agent.declared.images import arguments
from andon.agent.disk.journal import Stage as JournalStage
from andon.model.config import Images

MIB = 1 << 20


class Engine:
    """A stand-in for `docker` in a folder of its own."""

    def __init__(self, folder: Path, end: str = 'rm -f "$STORE"/dangling') -> None:
        self.bin, self.store, self.said = folder / "bin", folder / "store", folder / "said"
        self.bin.mkdir()
        self.store.mkdir()
        (self.store / "dangling").write_bytes(os.urandom(8 * MIB))
        program = self.bin / "docker"
        program.write_text(f'#!/bin/sh\nSTORE={self.store}\nprintf "%s\\n" "$*" >> {self.said}\n{end}\n')
        program.chmod(0o755)
        self.path = f"{self.bin}:{os.environ['PATH']}"

    def calls(self) -> list[str]:
        return self.said.read_text().splitlines() if self.said.exists() else []

    def images(self, **more: object) -> Images:
        return Images(engine="docker", older_hours=240, path=str(self.store), **more)


def test_they_are_pruned_with_an_age_and_what_became_free_is_measured(make_stage, tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    stage = make_stage(engine.path, images=(engine.images(),))
    stage.room.wait_while(lambda: False)
    stage.look()
    assert engine.calls() == ["image prune --force --filter until=240h"]
    ((place, names, freed),) = stage.passes
    assert (place, names) == (engine.store, 1) and freed >= 4 * MIB, "by the filesystem's free space"
    (told,) = stage.host.journal.unheard()
    assert (told.path, told.bytes, told.actor) == (str(engine.store), freed, "agent:guard")
    assert [one.stage for one in stage.host.journal.entries()] == [JournalStage.DELETED]
    stage.look(2)
    assert len(engine.calls()) == 1, "not again within the hour"


@pytest.mark.parametrize("all_", [False, True])
def test_never_without_an_age_and_never_anything_but_images(all_: bool) -> None:
    said = arguments(Images(engine="podman", older_hours=36.5, all=all_))
    assert said[:3] == ("image", "prune", "--force") and "--filter" in said and "until=37h" in said
    assert ("--all" in said) is all_ and not {"--volumes", "-a", "system"} & set(said)


def test_beside_a_job_none_goes(make_stage, tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    stage = make_stage(engine.path, images=(engine.images(all=True),))
    stage.look()
    assert engine.calls() == [], "nobody said yet that no job runs"
    stage.room.wait_while(lambda: True)
    stage.look()
    assert engine.calls() == [] and "A job runs on this host" in stage.why()[0]


def test_without_need_none_goes(make_stage, tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    stage = make_stage(engine.path, images=(engine.images(),))
    stage.room.wait_while(lambda: False)
    stage.wanted = frozenset
    stage.look()
    stage.wanted = lambda: frozenset(one.id for one in stage.room.things())
    stage.mode = "observe"
    stage.look()
    assert engine.calls() == [] and len(stage.room.things()) == 1


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("echo 'Cannot connect to the Docker daemon.' >&2; exit 1", "exit 1: Cannot connect to the Docker daemon"),
        ("kill -9 $$", "exit -9"),
    ],
)
def test_its_failure_is_one_sentence(make_stage, tmp_path: Path, end: str, said: str) -> None:
    engine = Engine(tmp_path, end)
    stage = make_stage(engine.path, images=(engine.images(),))
    stage.room.wait_while(lambda: False)
    stage.look(2)
    (why,) = stage.why()
    assert said in why and why.startswith("docker could not prune images") and why.count(".") == 1


def test_its_absence_is_one_sentence_and_nothing_is_written_down(make_stage, tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    stage = make_stage(str(tmp_path / "empty"), images=(engine.images(),))
    stage.room.wait_while(lambda: False)
    stage.look()
    assert "docker is not found on the agent's PATH" in stage.why()[0] and stage.host.journal.entries() == ()


def test_one_that_never_ends_is_ended_with_what_it_began(make_stage, tmp_path: Path, monkeypatch) -> None:
    fifo = tmp_path / "never"
    os.mkfifo(fifo)
    engine = Engine(tmp_path, f"cat {fifo} >/dev/null &\necho $! > {tmp_path}/child; wait")
    stage = make_stage(engine.path, images=(engine.images(),))
    stage.room.wait_while(lambda: False)
    monkeypatch.setattr(images_module, "LIMIT_S", 0.5)
    stage.look()
    assert "did not finish" in stage.why()[0]
    child = int((tmp_path / "child").read_text())
    assert not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text().split(")")[1]


def test_an_agent_that_ends_meanwhile_ends_the_engine_too(make_stage, tmp_path: Path) -> None:
    fifo = tmp_path / "never"
    os.mkfifo(fifo)
    engine = Engine(tmp_path, f"exec cat {fifo}")
    stage = make_stage(engine.path, images=(engine.images(),))
    stage.room.wait_while(lambda: False)

    async def story() -> None:
        looking = asyncio.create_task(stage.room.look())
        # Opened as soon as the engine reads from it.
        file = await asyncio.to_thread(os.open, fifo, os.O_WRONLY)
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        # And nobody reads any more.
        with pytest.raises(BrokenPipeError):
            os.write(file, b"x")
        os.close(file)

    asyncio.run(asyncio.wait_for(story(), 20))
    assert [one.stage for one in stage.host.journal.entries()] == [JournalStage.MOVED], "what went is not known"
