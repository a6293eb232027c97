"""Puts together what keeps a host's workspaces, in the order in which it must come up after an end (R87).

The leases first: before any hook is answered and anything is taken away, every lease that there was is held
again. Then what an ended agent left half made goes.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path

import msgspec

from andon.agent.adoption.slots import AdoptedSlot
from andon.agent.caches.shared_caches import SharedCaches
from andon.agent.declared.assembly import Neighbours, declared_room_of
from andon.agent.declared.room import DeclaredRoom
from andon.agent.disk.account import Account
from andon.agent.disk.budgets import Budgets
from andon.agent.disk.culprits import planned_deleters
from andon.agent.disk.evictions import Evictions
from andon.agent.disk.foreign import ForeignDeletions
from andon.agent.disk.history import History
from andon.agent.disk.inventory import Inventory, to_measure
from andon.agent.disk.journal import DeletionJournal
from andon.agent.disk.measuring import Measurer
from andon.agent.disk.questions import DiskQuestions
from andon.agent.disk.quotas import Quotas
from andon.agent.disk.removals import Removals
from andon.agent.ending_steps import end_steps
from andon.agent.hooks.orphans import clear_dead_notes
from andon.agent.hooks.plan import prepare_standalone
from andon.agent.kept_policy import KeptPolicy
from andon.agent.layout import Root
from andon.agent.leases.evidence import Evidence
from andon.agent.leases.place import give_back, lease_folder, open_place
from andon.agent.leases.table import LeaseTable
from andon.agent.leases.watching import LeaseWatch
from andon.agent.slot_table import Slot
from andon.agent.slot_user import SlotUser, find_user
from andon.agent.unfinished import clear_unfinished_files
from andon.agent.workspaces.directories import Directories
from andon.agent.workspaces.emptying import TrashEmptier
from andon.agent.workspaces.keeper import Keeper
from andon.agent.workspaces.kernel_view import KernelView
from andon.agent.workspaces.leftovers import Leftovers
from andon.agent.workspaces.removing import LeasedRemover
from andon.agent.workspaces.served_slots import ServedSlots
from andon.agent.workspaces.work_folders import WorkFolders
from andon.model.config import Agent, Workspace
from andon.model.workspace_states import WorkspaceState
from andon.model.workspaces import LeaseRecord
from andon.runtime.clock import Clock, seconds_since_boot
from andon.runtime.errors import Refused
from andon.runtime.ids import new_mark
from andon.runtime.logging import Logger
from andon.runtime.loop import Nudge


class Assembly(msgspec.Struct, frozen=True, kw_only=True):
    """What the rest of the agent needs of it."""

    keeper: Keeper
    leftovers: Leftovers
    emptier: TrashEmptier
    policy: KeptPolicy
    workspace_of: Callable[[int], Workspace]
    journal: DeletionJournal
    removals: Removals
    sizes: Measurer
    account: Account
    questions: DiskQuestions
    foreign: ForeignDeletions
    budgets: Budgets
    caches: SharedCaches
    declared: DeclaredRoom
    serve: Callable[[tuple[Slot, ...]], None]
    """From now on exactly these adopted slots beside the configured ones. Hooks of theirs may come any moment."""


class _Passes:
    """The same for what an emptying did."""

    def __init__(self) -> None:
        self.to: Callable[[Path, int, int], None] = lambda trash, names, freed: None

    def __call__(self, trash: Path, names: int, freed: int) -> None:
        self.to(trash, names, freed)


class Nudges:
    """Passes on to what is made later."""

    def __init__(self) -> None:
        self.to: Callable[[], object] = lambda: None

    def __call__(self) -> None:
        self.to()


@contextlib.asynccontextmanager
async def workspaces_of(
    agent: Agent,
    root: Root,
    slots: tuple[Slot, ...],
    *,
    adopted: tuple[Slot, ...] = (),
    adopted_slots: Callable[[], tuple[AdoptedSlot, ...]] = tuple,
    live_claims: Callable[[], frozenset[str]] = frozenset,
    hooks_of_runners: Callable[[], tuple[Path, ...]] = tuple,
    boot_id: str,
    environ: Mapping[str, str],
    changed: Nudge,
    clock: Clock,
    log: Logger,
) -> AsyncGenerator[Assembly]:
    """The workspaces of `slots` and of those `adopted` so far, all leases held again.

    `changed` is nudged when there is something to report.

    `adopted_slots` gives the adopted runners; `live_claims` the ids of claims whose runner
    lives; `hooks_of_runners` the hooks that were there before us.

    Raises Refused where leases have no place. Afterwards every lock is let go; the records stand.
    """

    def adopted_works() -> Mapping[int, Path]:
        return {one.slot: one.work for one in adopted_slots()}

    clear_unfinished_files(root, log)
    _prepare_hooks(root, (*slots, *adopted), log)
    with contextlib.suppress(OSError):
        clear_dead_notes(root, boot_id)
    served = ServedSlots(agent, root, slots)
    served.also(adopted)
    policy = KeptPolicy(root, served.plan, log)

    def workspace_of(slot: int) -> Workspace:
        return served.workspace(policy.now, slot)

    def serve(now: tuple[Slot, ...]) -> None:
        _prepare_hooks(root, now, log)
        served.also(now)
        try:
            served.plan(policy.now)
        except OSError as error:
            log.warning("hooks.unplanned", reason=str(error))

    place = open_place(lease_folder(root.path, environ=environ, uid=os.geteuid()))
    table = LeaseTable.open(place, boot_id, log)
    await table.recover(clock)
    evidence = Evidence(clock, boot_id)
    history = History(root.deletions, log)
    journal = DeletionJournal(place.journal, history, log, instead=root.journal)
    removals = Removals(journal, nonce=new_mark, clock=clock)
    quotas = Quotas(root.runs, log)
    await asyncio.to_thread(quotas.probe)
    directories = Directories(
        root,
        workspace_of,
        WorkFolders(root, adopted_works),
        boot_id=boot_id,
        nonce=new_mark,
        subvolumes=lambda: quotas.held,
    )
    cleared = await asyncio.to_thread(directories.clear_half_made)
    if cleared:
        log.info("workspace.half_made", cleared=cleared)
    ended = Nudges()
    watch = LeaseWatch(ended)
    caches = SharedCaches(
        agent.sccache,
        root,
        boot=boot_id,
        environ=environ,
        busy=lambda: keeper.written_to,
        changed=lambda: account.loop.nudge(),
        clock=clock,
        log=log,
    )
    inventory = Inventory(
        root,
        table.records,
        live_claims,
        adopted_works,
        compile_caches=caches.paths,
        declared=lambda: declared.things(),
        named_caches=lambda: declared.caches(),
    )
    measured = Nudges()
    sizes = Measurer(lambda: to_measure(inventory.take()), changed=measured, clock=clock, log=log)

    def size_of(record: LeaseRecord) -> int | None:
        still = record.state in (WorkspaceState.DEAD, WorkspaceState.TRASHED)
        return sizes.size_of(Path(record.path), (record.device, record.inode), still=still)

    told = _Passes()
    emptier = TrashEmptier(
        lambda: (*directories.trashes(), *leftovers.trashes(), *declared.trashes()),
        gone=journal.emptied,
        passed=told,
        clock=clock,
        log=log,
    )
    evictions = Evictions(
        agent.disk, journal, size_of, emptier.waiting, sizes.loop.nudge, declared=lambda: declared.things()
    )
    look_for_gone = Nudges()

    def of_budget(id: str) -> tuple[str, ...]:
        return budgets.said(id)

    def of_workspaces() -> None:
        # What was made just now is watched from now on, and not from the next look.
        look_for_gone()
        # And what was put aside is seen now, so that its minute begins.
        emptier.loop.nudge()
        budgets.loop.nudge()
        # What a job made of its cache is told with its end.
        caches.loop.nudge()
        changed()

    keeper = Keeper(
        table,
        directories,
        KernelView(table, evidence, watch, boot_id=boot_id, up_s=seconds_since_boot),
        LeasedRemover(table, evidence, directories.put_aside, journal, size_of=size_of, nonce=new_mark, clock=clock),
        evictions,
        boot_id=boot_id,
        nonce=new_mark,
        guard=lambda: policy.now.guard,
        said=of_budget,
        changed=of_workspaces,
        clock=clock,
        log=log,
    )
    leftovers = Leftovers(
        adopted_works,
        _claim_work(root),
        table.records,
        trash=root.trash,
        intend=removals.of_leftover,
        may_put_aside=lambda: policy.now.guard == "act",
        nonce=new_mark,
        clock=clock,
        log=log,
    )
    declared = declared_room_of(
        agent.disk,
        root.trash,
        removals,
        Neighbours(
            adopted=adopted_slots,
            records=table.records,
            wanted=evictions.declared_wanted,
            mode=lambda: policy.now.guard,
            passed=told,
            changed=of_workspaces,
        ),
        environ=environ,
        clock=clock,
        log=log,
    )
    trashes = (*directories.trashes(), *leftovers.trashes(), *declared.trashes())
    settled = journal.recover(await asyncio.to_thread(_names_in, trashes))
    if settled:
        log.info("deletion_journal.settled", deletions=len(settled))
    ended.to = keeper.loop.nudge
    budgets = Budgets(
        table.records,
        keeper.expected,
        size_of,
        quotas,
        lambda process: end_steps(process, clock),
        agent.disk,
        mode=lambda: policy.now.guard,
        changed=changed,
        clock=clock,
        log=log,
    )

    def of_sizes() -> None:
        # One that waited for it may go now; and the report of it is another.
        keeper.loop.nudge()
        changed()

    measured.to = of_sizes
    account = Account(
        inventory,
        sizes.size_of,
        keeper.over,
        keeper.reports,
        evictions,
        agent.disk,
        caches=caches.by_folder,
        declared=declared.things,
        held=declared.pinned,
        changed=changed,
        clock=clock,
        log=log,
    )
    told.to = account.passed

    def look_at_all() -> None:
        keeper.loop.nudge()
        declared.loop.nudge()

    questions = DiskQuestions(
        account,
        journal,
        history,
        evictions,
        agent.disk,
        mode=lambda: policy.now.guard,
        look_again=look_at_all,
        hurry=emptier.hurry,
        waiting=emptier.waiting,
    )
    foreign = ForeignDeletions(
        table.records,
        journal,
        planned=lambda: planned_deleters(hooks_of_runners()),
        size_of=size_of,
        own_pid=os.getpid(),
        nonce=new_mark,
        changed=changed,
        clock=clock,
        log=log,
    )
    look_for_gone.to = foreign.loop.nudge
    try:
        yield Assembly(
            keeper=keeper,
            leftovers=leftovers,
            emptier=emptier,
            policy=policy,
            workspace_of=workspace_of,
            serve=serve,
            journal=journal,
            removals=removals,
            sizes=sizes,
            account=account,
            questions=questions,
            foreign=foreign,
            budgets=budgets,
            caches=caches,
            declared=declared,
        )
    finally:
        watch.close()
        caches.close()
        foreign.close()
        await budgets.close()
        await sizes.close()
        await declared.close()
        leftovers.close()
        await emptier.close()
        table.close()
        journal.close()
        give_back(place)


def _names_in(trashes: tuple[Path, ...]) -> frozenset[str]:
    return frozenset(each.name for trash in trashes for each in trash.iterdir())


def _claim_work(root: Root) -> Callable[[int, str], Path]:
    """The work folder of a claim's runner."""
    # What is our own may be reached by links; below a runner's folder nothing may.
    real = Root(path=Path(os.path.realpath(root.path)))
    return lambda slot, claim: real.claim(slot, claim) / "runner" / "_work"


def _prepare_hooks(root: Root, slots: tuple[Slot, ...], log: Logger) -> None:
    """Where hooks may write while no agent answers. Without it they do less, which fails no job by itself."""
    users: dict[int, SlotUser | None] = {}
    for slot in slots:
        # A slot whose user is not there takes no runner, and is reported for it.
        with contextlib.suppress(Refused):
            users[slot.number] = find_user(slot.user) if slot.user else None
    try:
        prepare_standalone(root, users)
    except OSError as error:
        log.warning("hooks.unprepared", reason=str(error))
