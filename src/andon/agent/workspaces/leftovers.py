"""At a job's start, before its checkout: gives back what others left in its runner's own work folder (R57, P6).

Only the folder of the job's repository and the runner's temporary one are looked at; where they lie is known
here and not taken from what the hook says. Nothing is done while anything but this job uses the folder. A
checkout that meets leftovers is no worse off than before, so nothing here fails a job.
"""

import asyncio
import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from andon.agent.disk.removals import Intend, unwritten
from andon.agent.leases.process_use import Folder, find_uses
from andon.agent.process_identity import is_of, lives
from andon.agent.trees.heal import Healed, heal
from andon.agent.trees.system_calls import open_beneath, open_without_links
from andon.agent.workspaces.work_trash import TRASH, is_ours, putting_aside
from andon.model.workspaces import JobIdentity, JobProcess, LeaseRecord
from andon.runtime.clock import Clock
from andon.runtime.logging import Logger

HEAL_S = 1.5
"""For all of it. The hook waits three seconds, and its workspace has to be made in them, too."""
GRACE_S = 0.4
"""On top, for what is under way when the time is up."""
AT_ONCE = 4
"""Jobs whose folders are looked through beside each other; more wait, within their time."""
TEMP = "_temp"
_OF_THE_RUNNER = frozenset({TEMP, TRASH, "_actions", "_andon", "_PipelineMapping", "_tasks", "_tool", "_update"})
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


class _Job(msgspec.Struct, frozen=True, kw_only=True):
    process: JobProcess
    slot: int
    work: Path
    rivals: tuple[LeaseRecord, ...]
    """Other jobs of the same work folder, living or not."""
    go_on: Callable[[], bool]


class Leftovers:
    """`adopted_works` gives the work folders of adopted runners, by slot; `claim_work` that of a claim's runner.

    `intend` writes down what is put aside; `records` gives every lease, `may_put_aside` says whether the guard acts,
    `nonce` is as for workspaces.
    """

    def __init__(
        self,
        adopted_works: Callable[[], Mapping[int, Path]],
        claim_work: Callable[[int, str], Path],
        records: Callable[[], Iterable[LeaseRecord]],
        *,
        trash: Path,
        intend: Intend = unwritten,
        may_put_aside: Callable[[], bool],
        nonce: Callable[[], str],
        clock: Clock,
        log: Logger,
    ) -> None:
        self._adopted_works, self._claim_work, self._records = adopted_works, claim_work, records
        self._trash, self._may_put_aside, self._nonce = trash, may_put_aside, nonce
        self._intend = intend
        self._clock, self._log = clock, log
        # Its own threads: what waits for a disk here keeps no workspace from being made.
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="leftovers")

    def trashes(self) -> tuple[Path, ...]:
        """The trash of each runner's work folder that has one of ours."""
        return tuple(trash for trash in (work / TRASH for work in self._adopted_works().values()) if is_ours(trash))

    async def heal(self, job: JobIdentity, process: JobProcess, slot: int, claim: str | None) -> tuple[str, ...]:
        """Heals the folders of this job's runner; what is worth a line of the job's log. Never raises OSError."""
        adopted = self._adopted_works()

        def work_of(slot: int, claim: str | None) -> Path | None:
            return adopted.get(slot) if claim is None else self._claim_work(slot, claim)

        work = work_of(slot, claim)
        # Root reads and deletes whatever there is.
        if work is None or process.uid == 0:
            return ()
        until, stop = self._clock.monotonic() + HEAL_S, threading.Event()
        this = _Job(
            process=process,
            slot=slot,
            work=work,
            rivals=tuple(
                one for one in self._records() if one.process != process and work_of(one.slot, one.claim) == work
            ),
            go_on=lambda: not stop.is_set() and self._clock.monotonic() < until,
        )
        name = job.repository.rpartition("/")[2]
        going = asyncio.get_running_loop().run_in_executor(self._threads, self._heal, this, name)
        try:
            await asyncio.wait({going}, timeout=HEAL_S + GRACE_S)
        finally:
            stop.set()
        if not going.done():
            going.add_done_callback(lambda one: one.cancelled() or one.exception())
            self._log.warning("leftovers.unfinished", slot=slot, path=str(work))
            return ("there was no time to look for what earlier jobs left behind",)
        return going.result()

    def close(self) -> None:
        """What is under way ends by itself, within its time."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _heal(self, job: _Job, repository: str) -> tuple[str, ...]:
        notices: list[str] = []
        try:
            work = open_without_links(str(job.work), _FOLDER)
        except FileNotFoundError:
            return ()
        except OSError as error:
            return (self._refuse(job, str(job.work), error),)
        try:
            if os.fstat(work).st_uid != job.process.uid:
                why = OSError(errno.EPERM, "the folder belongs to another user than the job")
                return (self._refuse(job, str(job.work), why),)
            for name, keep in ((repository, repository), (TEMP, None)):
                if keep is None or keep not in _OF_THE_RUNNER:
                    with contextlib.suppress(FileNotFoundError):
                        notices += self._heal_in(job, work, name, keep)
        finally:
            os.close(work)
        return tuple(notices)

    def _heal_in(self, job: _Job, work: int, name: str, keep: str | None) -> Iterable[str]:
        try:
            tree = open_beneath(work, name, _FOLDER)
        except FileNotFoundError:
            return ()
        except OSError as error:
            return (self._refuse(job, f"{job.work}/{name}", error),)
        try:
            with putting_aside(self._trash, work, self._nonce(), self._intend) as put_aside:
                done = heal(
                    tree,
                    (job.process.uid, job.process.gid),
                    forbidden=lambda: self._forbidden(job, tree),
                    put_aside=put_aside if self._may_put_aside() else None,
                    keep=keep if self._may_put_aside() else None,
                    go_on=job.go_on,
                )
        except OSError as error:
            return (self._refuse(job, f"{job.work}/{name}", error),)
        finally:
            os.close(tree)
        return self._tell(job, name, done)

    def _forbidden(self, job: _Job, tree: int) -> str | None:
        """Who else uses the folder, or why we cannot do anything."""
        if os.geteuid() != 0:
            return "the agent is not root and cannot give them back"
        for rival in job.rivals:
            if rival.process is not None and lives(rival.process.pid, rival.process.start):
                return f"another job ({rival.id}) runs in the same work folder"
        path = os.readlink(f"/proc/self/fd/{tree}")  # noqa: PTH115
        uses = find_uses([Folder(id="it", path=path)], go_on=job.go_on)
        for hold in uses.holds.get("it", ()):
            if hold.pid is None or not is_of(hold.pid, job.process.pid):
                return hold.text
        return None if uses.whole else "there was no time to look whether something uses them"

    def _refuse(self, job: _Job, path: str, error: OSError) -> str:
        reason = "a link stands in its place" if error.errno in (errno.ELOOP, errno.ENOTDIR) else str(error.strerror)
        if error.errno == errno.EXDEV:
            reason = "something is mounted there"
        self._log.warning("leftovers.refused", slot=job.slot, path=_shown(path), reason=reason)
        return f"{_shown(path)} was not looked through for what earlier jobs left behind: {reason}"

    def _tell(self, job: _Job, name: str, done: Healed) -> Iterable[str]:
        about = {"slot": job.slot, "path": f"{job.work}/{name}"}
        if done.given:
            example = _shown(done.examples[0])
            self._log.info("leftovers.given", **about, count=done.given, example=example)
            yield f"{done.given} files and folders that others left in {name} were given to this user ({example})"
        if done.put_aside:
            example = _shown(done.examples_aside[0])
            self._log.info("leftovers.put_aside", **about, count=done.put_aside, example=example)
            yield f"{done.put_aside} that could not be given were put aside from {name} ({example})"
        if done.left:
            first = done.left[0]
            where = _shown(first.path)
            self._log.warning("leftovers.stay", **about, count=len(done.left), example=where, reason=first.reason)
            yield f"{len(done.left)} leftovers stay in {name}, as {where}: {first.reason}"
        if done.held:
            self._log.warning("leftovers.held", **about, reason=done.held)
            yield f"what others left in {name} stays as it is: {done.held}"
        if done.unseen:
            self._log.info("leftovers.unseen", **about, folders=done.unseen)


def _shown(path: str) -> str:
    """A path of any bytes, for a line of text."""
    text = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:200]
