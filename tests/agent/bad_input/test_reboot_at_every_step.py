"""An agent that is ended at every single step of a workspace's life, with and without a reboot after it (R59, R87).

From the first start to the deletion in the trash: after each cut the next agent starts without a complaint,
keeps what a living job needs, and everything else is gone in the end; nothing outside was touched. The same where
several workspaces go by one look.
"""

import asyncio
import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from itertools import count as numbers
from pathlib import Path
from typing import Any

import pytest

from andon.agent.disk.history import History
from andon.agent.layout import Root
from andon.agent.leases.place import lease_folder
from andon.agent.process_identity import boot_id, start_ticks
from andon.agent.slot_table import Slot
from andon.agent.workspaces.assembly import Assembly, workspaces_of
from andon.model.config import Agent
from andon.model.wire import JobWord, SyncAnswer
from andon.model.workspaces import JobIdentity, JobProcess
from andon.runtime.clock import SystemClock
from andon.runtime.loop import Nudge
from tests.support.cut_short import Cut, cut_at

JOB = JobIdentity(repository="acme/app", run_id=7, attempt=1, job="../../etc", runner="andon-1")
SLOTS = (Slot(number=0, pool="p", command=("true",)),)
OTHER_BOOT = "11111111-2222-4333-8444-555555555555"


class Said:
    """A log that keeps what was complained of, and what changed."""

    def __init__(self) -> None:
        self.complaints: list[tuple[str, dict[str, Any]]] = []
        self.news: list[str] = []

    def info(self, event: str, **facts: Any) -> None:
        self.news.append(event)

    def warning(self, event: str, **facts: Any) -> None:
        self.complaints.append((event, facts))

    error = exception = warning


class Host:
    """A root with one slot, and something beside it that nobody may touch."""

    def __init__(self, folder: Path, place: str, *, others: int = 0) -> None:
        self.root = Root(path=folder / "root")
        self.outside = folder / "outside"
        self.outside.mkdir(parents=True)
        (self.outside / "file").write_text("not ours")
        self.root.make()
        (self.root.claim(0, "c1") / "runner").mkdir(parents=True)
        self.place = place
        self.others = [self.root.runs / "0" / f"7-{attempt + 2}-build-0123456789" for attempt in range(others)]
        """Of jobs that are over, whose agent is gone."""
        for other in self.others:
            (other / "target").mkdir(parents=True)
        self.job = subprocess.Popen(["sleep", "1000"], cwd="/")

    @property
    def leases(self) -> Path:
        return lease_folder(self.root.path, environ={}, uid=os.geteuid())

    def process(self) -> JobProcess:
        start = start_ticks(self.job.pid)
        assert start is not None
        return JobProcess(pid=self.job.pid, start=start, uid=os.getuid(), gid=os.getgid())

    def end_job(self) -> None:
        self.job.kill()
        self.job.wait()

    def clean_up(self) -> None:
        self.end_job()
        shutil.rmtree(self.leases, ignore_errors=True)
        shutil.rmtree(self.root.path)

    def agent(self, log: Said, boot: str) -> Any:
        agent = Agent(name="h", root=str(self.root.path))
        return workspaces_of(
            agent, self.root, SLOTS, boot_id=boot, environ={}, changed=Nudge(), clock=SystemClock(), log=log
        )

    def policy(self) -> dict[str, Any]:
        return {"workspaces": {"p": {"place": self.place, "export": {"CARGO_HOME": "caches/cargo"}}}}

    def live(self, say: Callable[[str], None]) -> None:
        """The whole life of one workspace in one agent, and that agent's proper end."""

        async def story() -> None:
            async with self.agent(Said(), boot_id()) as work:
                work.policy.hear(self.policy())
                record = await work.keeper.begin(JOB, self.process(), 0, "c1")
                say(f"given {record.path}")
                _fill(Path(record.path), self.outside)
                process = self.process()
                say("ending")
                os.kill(self.job.pid, signal.SIGKILL)
                work.keeper.end(process)
                await work.keeper.look()
                await measured(work)
                ids = [report.id for report in work.keeper.reports()]
                assert set(ids) == {record.id, *(other.name for other in self.others)}
                work.keeper.hear(over(*ids))
                await work.keeper.look()
                await work.emptier.look()
                say("emptied")

        asyncio.run(story())

    def start(self, boot: str, story: Callable[[Assembly], Any] | None = None) -> Said:
        """Another agent: it hears that the run is over, looks as often as it takes, and ends."""
        log = Said()

        async def whole() -> None:
            async with self.agent(log, boot) as work:
                if story is not None:
                    await story(work)
                work.policy.hear(self.policy())
                for _ in range(5):
                    await work.keeper.look()
                    await measured(work)
                    work.keeper.hear(over(*(report.id for report in work.keeper.reports())))
                await work.emptier.look()
                assert work.keeper.reports() == ()

        asyncio.run(whole())
        return log

    def left(self) -> list[str]:
        """What is still kept of any job."""
        kept = [
            self.root.runs / "0",
            self.root.trash,
            self.root.claim(0, "c1") / "runner" / "_work" / "_andon",
            self.root.claim(0, "c1") / "runner" / "_work" / "_andon" / ".trash",
            self.root.standalone / "0",
            self.root.orphans,
        ]
        found = [str(path) for folder in kept if folder.is_dir() for path in folder.iterdir() if path.name != ".trash"]
        temporary = [str(path) for path in self.root.path.rglob(".*") if path.name != ".trash"]
        return found + temporary

    def facts(self) -> list[tuple[object, ...]]:
        out: list[tuple[object, ...]] = []
        for path in sorted([self.outside, *self.outside.rglob("*")]):
            seen = path.lstat()
            content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            out.append((str(path), seen.st_mode, seen.st_uid, seen.st_ino, seen.st_nlink, content))
        return out


def _fill(workspace: Path, outside: Path) -> None:
    (workspace / "tmp" / "way-out").symlink_to(outside)
    (workspace / "closed" / "deep").mkdir(parents=True)
    (workspace / "closed" / "deep" / "file").write_text("x")
    (workspace / "closed").chmod(0)
    (workspace / "a\nname").write_text("x")
    (workspace / os.fsdecode(b"caf\xe9")).write_text("x")


async def measured(work: Assembly) -> None:
    """What is dead is measured before it goes; a slot may have several."""
    for _ in range(4):
        await work.sizes.look()


def over(*names: str) -> SyncAnswer:
    jobs = {name: JobWord(id=1, conclusion="success") for name in names}
    return SyncAnswer(ack=1, runs={"7": "completed"}, jobs=jobs)


@pytest.fixture
def make_host() -> Iterator[Callable[[int, str, int], Host]]:
    # In memory, where the many fsyncs cost nothing.
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("kernel: no /dev/shm to write to")
    folder = Path(tempfile.mkdtemp(dir="/dev/shm", prefix="andon-test-"))
    made: list[Host] = []

    def make(number: int, place: str, others: int) -> Host:
        if made:
            made.pop().clean_up()
        made.append(Host(folder / str(number), place, others=others))
        return made[-1]

    yield make
    for host in made:
        host.clean_up()
    shutil.rmtree(folder)


def come_back(host: Host, cut: Cut, *, reboot: bool) -> None:
    """What follows a cut: perhaps a reboot, then an agent, then another one."""
    assert cut.step is not None
    given = next((Path(line.removeprefix("given ")) for line in cut.said if line.startswith("given ")), None)
    alive = not reboot and "ending" not in cut.said
    boot = OTHER_BOOT if reboot else boot_id()
    if reboot:
        host.end_job()
        shutil.rmtree(host.leases, ignore_errors=True)

    async def while_the_job_lives(work: Assembly) -> None:
        work.policy.hear(host.policy())
        for _ in range(2):
            work.keeper.hear(over(*(report.id for report in work.keeper.reports())))
            await work.keeper.look()
        if given is not None:
            assert (given / "tmp").is_dir(), f"{cut.step}: a living job lost its directory"
            states = [report.state for report in work.keeper.reports() if report.id == given.name]
            assert states == ["leased"], cut.step
        host.end_job()

    said = host.start(boot, while_the_job_lives if alive else None)
    assert (said.complaints, host.left()) == ([], []), cut.step
    quiet = host.start(boot)
    assert (quiet.complaints, quiet.news) == ([], []), cut.step
    gone = {line.deletion.lease: line for line in History(host.root.deletions, quiet).lines()}
    assert {line.stage for line in gone.values()} <= {"moved", "deleted"}, cut.step
    for path in [*host.others, *([given] if given is not None else [])]:
        assert path.name in gone, f"{cut.step}: no deletion without a line in the journal"


@pytest.mark.parametrize(("below", "others"), [("root", 0), ("work", 0), ("root", 3)])
@pytest.mark.parametrize("reboot", [True, False])
def test_whatever_step_it_was_all_is_gone_in_the_end(make_host, count, below, others, reboot):
    stride, cuts = 15 // count(15), 0
    for number in numbers(0, stride):
        host = make_host(number, below, others)
        before = host.facts()
        cut = cut_at(number, host.live)
        if cut.step is None:
            break
        cuts += 1
        come_back(host, cut, reboot=reboot)
        assert host.facts() == before, f"{cut.step}: something outside was touched"
    assert cuts > 60 // stride, "the steps were found"
