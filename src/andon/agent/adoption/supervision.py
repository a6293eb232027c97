"""Keeps adopted runners as they are wanted: looks at each folder, starts or stops its listener (R37).

What it knows stands in the folder's processes, its record and `seen.json`; what is in memory only
counts looks and pauses, and may be lost (R87).
"""

import asyncio
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from andon.agent.adoption.listener_start import NotStarted, start_by_script, start_by_unit, why_not
from andon.agent.adoption.listener_stop import interrupt
from andon.agent.adoption.processes import FolderSight, Process, folder_of, look_at_folders
from andon.agent.adoption.records import Adoption, Records, Stage
from andon.agent.adoption.seen import Seen, read_seen, write_seen
from andon.agent.adoption.slots import (
    AdoptedSlot,
    AdoptedStatus,
    adopted_slot,
    closed_report,
    held_because,
    held_by_labels,
    jit_slot,
    slot_report,
    user_slot,
    why_not_open,
)
from andon.agent.adoption.undoing import has_clones, is_over
from andon.agent.backoff import Backoff
from andon.agent.cgroups import remove_cgroup
from andon.agent.slot_table import Slot
from andon.agent.timing import Timing
from andon.agent.watches import Watches
from andon.model.wire import SlotReport, SyncAnswer
from andon.rules.adopted_runner import LOOKS, ListenerAct, ListenerSight, ListenerVerdict, judge_listener
from andon.rules.slot_levers import AdoptedFacts, levers_of
from andon.runtime.clock import Clock
from andon.runtime.errors import Refused
from andon.runtime.logging import Logger
from andon.runtime.loop import Loop


class _Memory:
    """What is remembered of one runner between two looks."""

    def __init__(self, backoff: Backoff, seen: Seen) -> None:
        self.backoff, self.seen = backoff, seen
        self.idle_looks = self.gone_looks = 0
        self.counted_at: float | None = None
        self.due_at = 0.0
        self.starting: asyncio.Task[None] | None = None
        self.trouble: str | None = None


class AdoptedRunners:
    """All adopted runners of one host. `changed` is called when the control plane should hear of something."""

    def __init__(
        self,
        records: Records,
        *,
        boot_id: str,
        cgroup_base: Path | None,
        environ: Mapping[str, str],
        changed: Callable[[], None],
        jit: Callable[[tuple[Slot, ...]], None],
        chance: Callable[[], float],
        clock: Clock,
        timing: Timing,
        log: Logger,
    ) -> None:
        self.loop = Loop("adopted", self._pass, period=timing.look, clock=clock, log=log)
        self._records, self._boot, self._cgroups, self._environ = records, boot_id, cgroup_base, environ
        self._changed, self._jit, self._chance = changed, jit, chance
        self._clock, self._timing, self._log = clock, timing, log
        self._watches = Watches(self.loop.nudge)
        self._memories: dict[str, _Memory] = {}
        self._reports: tuple[SlotReport, ...] = ()
        self._children: list[subprocess.Popen[bytes]] = []
        self._unreadable: set[str] = set()
        self._served: set[tuple[int, int, str | None]] = set()
        self._serve: Callable[[tuple[Slot, ...]], None] = lambda slots: None
        self._why_closed: Callable[[int], str | None] = lambda slot: None
        self._stale: set[str] = set()
        """Folders whose listener knows an older `.env`."""

    def slots(self) -> tuple[SlotReport, ...]:
        """Every adopted slot as the last look found it."""
        return tuple(closed_report(report, self._why_closed(report.slot)) for report in self._reports)

    def close_slots(self, why_closed: Callable[[int], str | None]) -> None:
        """From now on an idle slot is no capacity while `why_closed` gives a reason, which is told with it."""
        self._why_closed = why_closed

    def slot_of(self, pid: int) -> AdoptedSlot | None:
        """The adopted slot whose runner's process `pid` is; None: of none."""
        adoptions = {adoption.path: adoption for adoption in self._adoptions().values()}
        folder = folder_of(pid, adoptions)
        if folder is None:
            return None
        return adopted_slot(adoptions[folder])

    def adopted(self) -> tuple[AdoptedSlot, ...]:
        """Every adopted slot, with whom its jobs run as and where."""
        return tuple(adopted_slot(one) for one in self._adoptions().values() if one.stage is Stage.ADOPTED)

    def runners(self) -> tuple[tuple[AdoptedSlot, Process], ...]:
        """The process above each adopted runner's hooks now: its listener; its job process where that is gone."""
        found = {adopted_slot(one): one for one in self._adoptions().values() if one.stage is Stage.ADOPTED}
        sights = look_at_folders((slot.folder, slot.uid) for slot in found)
        return tuple(
            (slot, process)
            for slot in found
            for process in sights[slot.folder].listeners or sights[slot.folder].workers
        )

    def as_slots(self) -> tuple[Slot, ...]:
        """Adopted slots with their number and user, for what is prepared for each slot's user."""
        return tuple(user_slot(one) for one in self._adoptions().values() if one.stage is Stage.ADOPTED)

    def chained_hooks(self) -> tuple[Path, ...]:
        """The hooks that were there before us, and still run."""
        hooks = (hook for one in self._adoptions().values() for hook in one.foreign.values() if hook.chained)
        return tuple(Path(hook.path) for hook in hooks)

    def tell_slots(self, serve: Callable[[tuple[Slot, ...]], None]) -> None:
        """`serve` is called at the look that finds adopted slots that it was not told of yet, or others than before."""
        self._serve = serve

    def status(self) -> tuple[AdoptedStatus, ...]:
        """Each adopted slot with the protections that act on it, for `andon agent status`."""
        return tuple(
            AdoptedStatus(
                slot=adoption.slot,
                folder=adoption.folder,
                runner=adoption.runner,
                rules=levers_of(
                    AdoptedFacts(
                        hooks_in_effect=key not in self._stale,
                        cannot_start=why_not(adoption),
                        ephemeral=adoption.ephemeral,
                        agent_is_root=os.geteuid() == 0,
                    )
                ),
            )
            for key, adoption in self._adoptions().items()
            if adoption.stage is Stage.ADOPTED and not self._memory(key).seen.jit
        )

    def apply(self, answer: SyncAnswer) -> None:
        """Takes note of which slots may take jobs; safe to repeat. Raises OSError when it cannot be kept."""
        by_labels = held_by_labels(answer)
        for key, adoption in self._adoptions().items():
            held = None if adoption.slot in by_labels else why_not_open(answer, adoption.slot)
            memory = self._memory(key)
            if held != memory.seen.held:
                self._note(key, memory, msgspec.structs.replace(memory.seen, held=held))
                self.loop.nudge()

    async def close(self) -> None:
        """Looks no more. Listeners go on."""
        starts = [memory.starting for memory in self._memories.values() if memory.starting is not None]
        for one in starts:
            one.cancel()
        await asyncio.gather(*starts, return_exceptions=True)
        self._watches.close()

    def _adoptions(self) -> dict[str, Adoption]:
        found: dict[str, Adoption] = {}
        for key in self._records.all_keys():
            try:
                adoption = self._records.read(key)
            except Refused as refused:
                if key not in self._unreadable:
                    self._unreadable.add(key)
                    self._log.error("adoption.unreadable", reason=str(refused))
                continue
            if adoption is not None and adoption.stage is not Stage.BEGUN:
                found[key] = adoption
        return found

    def _memory(self, key: str) -> _Memory:
        if key not in self._memories:
            timing = self._timing
            backoff = Backoff(first=timing.first_restart, longest=timing.longest_restart, chance=self._chance)
            self._memories[key] = _Memory(backoff, read_seen(self._records.folder / key))
        return self._memories[key]

    def _note(self, key: str, memory: _Memory, seen: Seen) -> None:
        """Remembers it, and over a restart where the disk takes it."""
        memory.seen = seen
        try:
            write_seen(self._records.folder / key, seen)
        except OSError as error:
            self._log.warning("adoption.unwritten", key=key, reason=str(error))

    async def _pass(self) -> float | None:
        return self._timing.breath if self.look() else None

    def look(self) -> bool:
        """One look at all adopted folders; what two looks agree on is done. Says whether the next should come soon."""
        self._children = [child for child in self._children if child.poll() is None]
        adoptions = self._adoptions()
        for key in self._memories.keys() - adoptions.keys():
            self._memories.pop(key)
        served = {(one.slot, one.uid, one.to_jit) for one in adoptions.values() if one.stage is Stage.ADOPTED}
        if served != self._served:
            # Before a listener is started again with our hooks.
            self._serve(self.as_slots())
            self._served = served
        sights = look_at_folders((adoption.path, adoption.uid) for adoption in adoptions.values())
        # The end of a job is when a listener may be stopped, and the next job may be near. The script around a
        # listener ends a moment after it, and only then may another be started.
        self._watches.keep(
            {
                (process.pid, process.start)
                for sight in sights.values()
                for process in (*sight.listeners, *sight.workers, *sight.wrappers)
            }
        )
        soon = False
        reports: list[SlotReport] = []
        jit: list[Slot] = []
        for key, adoption in adoptions.items():
            sight = sights[adoption.path]
            self._stale.discard(key)
            if self._is_stale(adoption, sight):
                self._stale.add(key)
            verdict = self._judge(key, adoption, sight)
            soon |= verdict.soon
            if verdict.act is not ListenerAct.NOTHING:
                self._do(verdict.act, key, adoption, sight)
            if adoption.stage is Stage.UNDONE:
                if is_over(adoption, sight, self._boot):
                    self._forget(key, adoption)
            elif self._memory(key).seen.jit and adoption.to_jit is not None:
                jit.append(jit_slot(adoption, adoption.to_jit))
            else:
                reports.append(slot_report(adoption, verdict, self._memory(key).trouble))
        self._jit(tuple(jit))
        told = tuple(sorted(reports, key=lambda report: report.slot))
        if told != self._reports:
            self._reports = told
            self._changed()
        return soon

    def _judge(self, key: str, adoption: Adoption, sight: FolderSight) -> ListenerVerdict:
        memory = self._memory(key)
        # Between two listeners nothing is told: one of them is about to go.
        idle = len(sight.listeners) == 1 and not sight.busy
        gone = not sight.listeners and not sight.busy and not sight.wrappers
        now = self._clock.monotonic()
        if not idle:
            memory.idle_looks = 0
        if not gone:
            memory.gone_looks = 0
        if memory.counted_at is None or now - memory.counted_at >= self._timing.breath:
            memory.counted_at = now
            memory.idle_looks += idle
            memory.gone_looks += gone
        if sight.listeners and not memory.seen.listened:
            self._note(key, memory, msgspec.structs.replace(memory.seen, listened=True))
        if adoption.to_jit is not None and memory.gone_looks >= LOOKS and not memory.seen.jit:
            self._note(key, memory, msgspec.structs.replace(memory.seen, jit=True))
            self._log.info("adoption.jit", runner=adoption.runner, slot=adoption.slot, path=adoption.folder)
        if memory.idle_looks > self._timing.steady_looks:
            memory.backoff.reset()
            memory.trouble = None
        return judge_listener(
            ListenerSight(
                listening=bool(sight.listeners),
                working=bool(sight.workers),
                unclear=sight.unclear,
                wrapped=bool(sight.wrappers),
                idle_looks=memory.idle_looks,
                gone_looks=memory.gone_looks,
                held=held_because(adoption, memory.seen),
                stale=self._is_stale(adoption, sight),
                seen=memory.seen.listened,
                once=adoption.ephemeral,
                due=memory.starting is None and now >= memory.due_at,
                cannot_start=why_not(adoption),
            )
        )

    def _is_stale(self, adoption: Adoption, sight: FolderSight) -> bool:
        stale = adoption.stale
        return stale is not None and stale.boot_id == self._boot and stale.process in sight.listeners

    def _do(self, act: ListenerAct, key: str, adoption: Adoption, sight: FolderSight) -> None:
        memory = self._memory(key)
        if act is ListenerAct.INTERRUPT:
            memory.idle_looks = 0
            reason = held_because(adoption, memory.seen) or "its listener knows an older .env"
            if interrupt(adoption, sight.listeners[0]):
                self._log.info("listener.stopping", runner=adoption.runner, slot=adoption.slot, reason=reason)
        else:
            memory.gone_looks = 0
            pause = memory.backoff.pause()
            memory.due_at = self._clock.monotonic() + pause
            self._log.info("listener.starting", runner=adoption.runner, slot=adoption.slot, again_s=round(pause, 1))
            memory.starting = asyncio.get_running_loop().create_task(self._start(key, adoption, memory))

    async def _start(self, key: str, adoption: Adoption, memory: _Memory) -> None:
        try:
            if not await start_by_unit(adoption, self._environ):
                log = self._records.folder / key / "runner.log"
                self._children.append(start_by_script(adoption, log, self._cgroup(key)))
        except NotStarted as error:
            memory.trouble = str(error)
            self._log.error("listener.not_started", runner=adoption.runner, slot=adoption.slot, reason=str(error))
        finally:
            memory.starting = None
            self.loop.nudge()

    def _cgroup(self, key: str) -> str | None:
        return str(self._cgroups / f"adopted.{key}") if self._cgroups is not None else None

    def _forget(self, key: str, adoption: Adoption) -> None:
        try:
            with self._records.locked():
                # Read again: somebody may have adopted it anew.
                if self._records.read(key) == adoption and not has_clones(self._records, adoption):
                    self._records.forget(key)
                    remove_cgroup(self._cgroup(key))
                    self._log.info("adoption.over", runner=adoption.runner, path=adoption.folder)
        except (OSError, Refused) as error:
            self._log.warning("adoption.kept", path=adoption.folder, reason=str(error))
