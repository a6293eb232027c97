"""What each drill is about: the protection that makes it pass, and how to take that out.

A drill that stays green without its protection shows nothing. Taking one out replaces a function or two of this
process while the drill is played, by what a fleet without that protection does, and puts them back.
"""

import contextlib
import importlib
import shutil
from collections.abc import Callable, Generator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection

from andon.agent import plan as agent_plan
from andon.agent.plan import Known, Plan
from andon.agent.trees.heal import Healed
from andon.loops.acts.learn import keep_answer
from andon.loops.repository_sweep import RepositorySweep
from andon.model.wire import SyncAnswer
from andon.model.workspaces import Hold, LeaseRecord
from andon.rules import claim_doubt, dispatch
from andon.rules.claim_doubt import DoubtAct, JobFact, ProcessFact, RunnerFact, Verdict
from andon.rules.liveness_fleet import ApiFact, Reach
from andon.rules.workspace_life import Seen, Step, next_step
from andon.store import claims, hosts, jobs, outbox, pauses, registrations
from andon.store.transaction import Tx


class Protection(msgspec.Struct, frozen=True, kw_only=True):
    """One protection."""

    what: str
    without: tuple[tuple[str, Any], ...]
    """`module:Name.attribute`, and what stands there when it is taken out."""


def _nothing(*_: Any, **__: Any) -> None:
    """Does nothing, and says that nothing was to do."""


def _nobody(*_: Any) -> list[Any]:
    """Finds nobody whom it concerns."""
    return []


async def _rests(*_: Any, **__: Any) -> None:
    """A loop, or an act at GitHub, that does nothing."""


async def _look_comes_to_nothing(fleet: Any, act: Any, claim: Any) -> None:
    """A name that exists is tried again and again: nobody looks whose it is."""
    until = fleet.clock.now() + timedelta(seconds=20)

    def later(tx: Tx) -> None:
        outbox.postpone(tx, act, until=until, reason="the name exists")

    await fleet.write(later)


def _news_wins(*_: Any) -> str:
    return "newer"


_judge = claim_doubt.judge


def _busy_is_no_matter(job: JobFact, runner: RunnerFact, process: ProcessFact) -> Verdict:
    if runner is RunnerFact.BUSY:
        return Verdict(act=DoubtAct.LET_GO, reason="it was claimed long ago")
    return _judge(job, runner, process)


_fall_silent = hosts.fall_silent


def _silent_is_dead(tx: Tx, before: datetime) -> list[str]:
    names = _fall_silent(tx, before)
    for name in names:
        for claim in claims.live_claims(tx.connection, host=name):
            claims.set_facts(tx, claim, state="released")
    return names


_plan = agent_plan.plan


def _only_what_is_ordered_lives(known: Known, answer: SyncAnswer, now: datetime) -> Plan:
    wanted = _plan(known, answer, now)
    ordered = {order.id for order in answer.claims}
    absent = tuple(one.claim.claim for one in known.held if one.live and one.claim.claim not in ordered)
    return msgspec.structs.replace(wanted, stop=(*wanted.stop, *absent))


_decide = dispatch.decide


def _one_after_the_other(snapshot: dispatch.Snapshot, policy: dispatch.Policy) -> tuple[dispatch.Decision, ...]:
    return () if any(snapshot.live_claims.values()) else _decide(snapshot, policy)


def _anywhere(self: Any, job: dispatch.WaitingJob) -> dispatch.FreeSlot | None:
    return self._take_next(job)


def _without_caps(snapshot: dispatch.Snapshot, policy: dispatch.Policy) -> tuple[dispatch.Decision, ...]:
    return _decide(snapshot, msgspec.structs.replace(policy, max_slots={}))


def _all_try(
    connection: Connection, known: Sequence[pauses.Pause], policy: dispatch.Policy, now: datetime
) -> list[dispatch.WaitingJob]:
    lasting = [each for each in known if each.until > now]
    return [
        job
        for name, pool in policy.pools.items()
        for job in jobs.oldest_waiting(connection, pool, policy.batch, pauses.paused_in(lasting, name))
        if any(each.covers(job.owner, job.repository, job.pool) for each in known)
    ]


def _runs_end_alone(self: RepositorySweep, tx: Tx, answer: Any) -> None:
    keep_answer(tx, self._fleet, self.repository, answer, None, "sweep")  # pyright: ignore[reportPrivateUsage]


_leftover = registrations._leftover  # pyright: ignore[reportPrivateUsage]


def _everything_is_ours(*of: Any) -> Any:
    return msgspec.structs.replace(_leftover(*of), ours=True)


_reach = ApiFact.reach


def _always_answers(*_: Any) -> Reach:
    return Reach.ANSWERS


def _silence_is_failure(self: ApiFact, now: datetime) -> Reach:
    found = _reach(self, now)
    return Reach.FAILS if found is Reach.SILENT else found


_SWEEP = ("andon.loops.sweep:Sweep.run_once", _rests)
_REDELIVERY = ("andon.loops.redelivery:Redelivery.run_once", _rests)
_DEADLINES = ("andon.loops.claims:ClaimDeadlines.run_once", _rests)
_ENDS = ("andon.store.apply_sync:_follow_end", _nothing)
_VANISHED = ("andon.store.apply_sync:_doubt_vanished", _nothing)
_LOST_MINT = ("andon.loops.acts.mint_runner:_free_the_name", _look_comes_to_nothing)


async def _nobody_holds(_: Any, records: Sequence[LeaseRecord], *__: Any) -> dict[str, tuple[Hold, ...]]:
    return {record.id: () for record in records}


def _every_run_is_over(seen: Seen) -> Step:
    return next_step(msgspec.structs.replace(seen, run="completed"))


def _no_folders(_: Any) -> tuple[str, ...]:
    return ()


def _nothing_healed(*_: Any, **__: Any) -> Healed:
    return Healed(given=0, put_aside=0, left=(), examples=(), examples_aside=(), unseen=0, held=None)


def _no_variables(*_: Any) -> dict[str, str]:
    return {}


def _no_bytes(_: Any) -> int:
    return 0


async def _shares_the_folder(self: Any, job: Any, process: Any, asked: Any, spare: Path) -> Any:
    """As fleets do it: every job's own server works on the one folder, with the cap that its workflow says."""
    shared = spare.parents[2] / "shared-sccache"
    shared.mkdir(mode=0o777, exist_ok=True)
    return {"SCCACHE_DIR": str(shared), "SCCACHE_SERVER_UDS": f"{spare}.sock"} | dict(asked), ()


def _none_wanted(*_: Any) -> frozenset[str]:
    return frozenset()


def _clears_all_targets(_: Any, over: Sequence[LeaseRecord]) -> frozenset[str]:
    """What the incident's guard did: the target directories of every runner, whoever builds there."""
    for record in over:
        for target in Path(record.path).parent.parent.glob("*/*/target"):
            shutil.rmtree(target, ignore_errors=True)
    return frozenset(record.id for record in over)


PROTECTIONS: dict[str, Protection] = {
    "sweep": Protection(what="runs and jobs are read without webhooks", without=(_SWEEP,)),
    "redelivery": Protection(what="GitHub is asked to send again what never arrived", without=(_REDELIVERY,)),
    "sweep and redelivery": Protection(what="what was missed is read, or sent again", without=(_SWEEP, _REDELIVERY)),
    "claim deadlines": Protection(what="every state of a claim has a time and a consequence", without=(_DEADLINES,)),
    "end reports": Protection(what="the reported end of a runner puts its claim in doubt", without=(_ENDS,)),
    "ends that are told or seen": Protection(
        what="a runner whose end is reported, or that its host shows no more, puts its claim in doubt",
        without=(_ENDS, _VANISHED),
    ),
    "host liveness": Protection(
        what="slots of a host that nobody hears are no capacity",
        without=(("andon.loops.hosts:HostLiveness.run_once", _rests),),
    ),
    "orders to stop": Protection(
        what="a runner that was given up is ended", without=(("andon.store.apply_sync:_unwanted", _nobody),)
    ),
    "silence is unknown": Protection(
        what="a silent host's claims are left alone, and what GitHub calls in progress is never ended",
        without=(
            ("andon.store.hosts:fall_silent", _silent_is_dead),
            ("andon.store.jobs:runners_in_progress", _nobody),
        ),
    ),
    "only explicit orders end a runner": Protection(
        what="what an answer does not name is left alone",
        without=(("andon.sim.simulation.played_host:plan", _only_what_is_ordered_lives),),
    ),
    "busy is left alone": Protection(
        what="while GitHub calls a runner busy, its claim stays",
        without=(("andon.loops.acts.resolve_claim:judge", _busy_is_no_matter),),
    ),
    "others go on": Protection(
        what="a job that has its claim holds up no other",
        without=(("andon.store.dispatch:decide", _one_after_the_other),),
    ),
    "elsewhere": Protection(
        what="a job that was given up goes to another place, while there is one",
        without=(("andon.rules.dispatch:_FreeSlots._take_elsewhere", _anywhere),),
    ),
    "failing hosts come last": Protection(
        what="a host of which two slots fail gives its slots last",
        without=(("andon.rules.dispatch:FreeSlot.doubtful", False),),
    ),
    "caps": Protection(
        what="an owner's hard cap is counted in each round", without=(("andon.store.dispatch:decide", _without_caps),)
    ),
    "back-off": Protection(
        what="failing mints pause their owner, longer each time",
        without=(
            ("andon.store.pauses:FIRST", timedelta(seconds=1)),
            ("andon.store.pauses:LONGEST", timedelta(seconds=1)),
            ("andon.store.pauses:LONGEST_OF_OWNER", timedelta(seconds=1)),
        ),
    ),
    "one tries": Protection(
        what="after a pause one claim tries whether mints work again",
        without=(("andon.store.dispatch:jobs_to_try", _all_try),),
    ),
    "the run's end": Protection(
        what="a run that is over closes its queued jobs",
        without=(("andon.loops.repository_sweep:RepositorySweep._close", _runs_end_alone),),
    ),
    "runs that are gone": Protection(
        what="a run that GitHub does not know any more is demand no more",
        without=(("andon.loops.repository_sweep:RepositorySweep._count_gone", _rests),),
    ),
    "several looks": Protection(
        what="one 404 is no evidence that a run is gone",
        without=(("andon.loops.repository_sweep:GONE_LOOKS", 1),),
    ),
    "late mints": Protection(
        what="a runner made for a claim that is over is removed",
        without=(("andon.loops.acts.mint_runner:_retire", _nothing),),
    ),
    "shuffles": Protection(
        what="claims follow when GitHub gives a job to another runner",
        without=(("andon.store.apply_news:_bind", _nothing),),
    ),
    "order of news": Protection(
        what="late news never takes a job back", without=(("andon.rules.job_news:_compare", _news_wins),)
    ),
    "lost mint answers": Protection(
        what="a name that exists is looked up, freed and minted anew", without=(_LOST_MINT,)
    ),
    "lost mint answers and deadlines": Protection(
        what="an act that was cut off is done again, and a reservation ends in 30 s", without=(_LOST_MINT, _DEADLINES)
    ),
    "removal before release": Protection(
        what="a registration is removed before its claim is given up",
        without=(("andon.github.runner_calls:RunnerCalls.delete_runner", _rests),),
    ),
    "registrations": Protection(
        what="a registration that nothing stands behind is removed",
        without=(("andon.loops.liveness:Registrations.run_once", _rests),),
    ),
    "only ours": Protection(
        what="a registration without our fleet's name is nobody's to remove",
        without=(
            ("andon.store.registrations:_leftover", _everything_is_ours),
            ("andon.loops.liveness:Registrations._prefix", ""),
        ),
    ),
    "incidents": Protection(
        what="a lost fleet is one incident, which closes by itself",
        without=(("andon.loops.incidents:KeepIncidents.run_once", _rests),),
    ),
    "GitHub's health": Protection(
        what="how the last calls to GitHub went is kept, and judged",
        without=(("andon.rules.liveness_fleet:ApiFact.reach", _always_answers),),
    ),
    "who is cut off": Protection(
        what="GitHub's silence while no host is heard is our own trouble",
        without=(("andon.rules.liveness_fleet:ApiFact.reach", _silence_is_failure),),
    ),
    "own sleep": Protection(
        what="a pause of our own is seen, and what was not heard meanwhile is nobody's silence",
        without=(("andon.rules.liveness_fleet:Situation.slept", None),),
    ),
    "directories in use": Protection(
        what="a directory stays while a process, mount or open file can use it",
        without=(("andon.agent.leases.evidence:Evidence.holds", _nobody_holds),),
    ),
    "runs that go on": Protection(
        what="a directory stays while its run has jobs to come",
        without=(("andon.agent.workspaces.keeper:next_step", _every_run_is_over),),
    ),
    "exported paths": Protection(
        what="every step is told the paths of its workspace",
        without=(("andon.agent.workspaces.for_hooks:variables", _no_variables),),
    ),
    "bind sources": Protection(
        what="what can be mounted is made with its owner before a job can mount it",
        without=(("andon.agent.workspaces.making:folders", _no_folders),),
    ),
    "leftovers given back": Protection(
        what="what other users left in a job's checkout is given back before it",
        without=(("andon.agent.workspaces.leftovers:heal", _nothing_healed),),
    ),
    "leases over restarts": Protection(
        what="an agent holds every lease again before it does anything else",
        without=(
            ("andon.agent.leases.table:LeaseTable._take_up", _nothing),
            ("andon.agent.leases.evidence:Evidence.holds", _nobody_holds),
        ),
    ),
    "ballast": Protection(
        what="room is kept, and given up when there is none left",
        without=(("andon.agent.disk.ballast:Ballast.drop", _no_bytes),),
    ),
    "watermarks": Protection(
        what="no job begins where there is too little room",
        without=(
            ("andon.agent.disk.guard:Guard.why_closed", _nothing),
            ("andon.agent.start_probes:StartProbes.why_not_ready", _nothing),
        ),
    ),
    "a guard that looks": Protection(
        what="only what nothing uses goes when room is needed",
        without=(("andon.agent.disk.evictions:Evictions.wanted", _clears_all_targets),),
    ),
    "room that is needed": Protection(
        what="what is kept as evidence goes when its room is needed",
        without=(("andon.agent.disk.evictions:Evictions.wanted", _none_wanted),),
    ),
    "foreign deletions": Protection(
        what="a live directory that vanishes without us is told, with who did it",
        without=(("andon.agent.disk.foreign:ForeignDeletions.look", _rests),),
    ),
    "classes": Protection(
        what="every path has a class, and nobody's is told",
        without=(("andon.agent.disk.account:_totals", _no_folders),),
    ),
    "what pins the room": Protection(
        what="a pass that frees nothing says so, and what holds the disk",
        without=(("andon.agent.disk.account:Account._say_pinned", _nothing),),
    ),
    "budgets": Protection(
        what="who takes the room that was promised to others is ended alone",
        without=(("andon.agent.disk.budgets:overrun", _nothing),),
    ),
    "caches that are looked at": Protection(
        what="how full a compile cache is, and how often it is hit, are told together",
        without=(("andon.agent.caches.shared_caches:SharedCaches._ask", _rests),),
    ),
    "one owner of a cap": Protection(
        what="jobs reach a cache's server, and never the cache",
        without=(("andon.agent.caches.shared_caches:SharedCaches.for_job", _shares_the_folder),),
    ),
    "start probe": Protection(
        what="a slot is ready once a start was tried on it",
        without=(("andon.agent.start_probes:StartProbes.why_not_ready", _nothing),),
    ),
    "patience": Protection(
        what="a host is silent only after it missed a report for sure",
        without=(("andon.loops.hosts:SILENT_AFTER", timedelta(seconds=5)),),
    ),
}


@contextlib.contextmanager
def taken_out(name: str) -> Generator[None]:
    """Within, the fleet lives without the protection of this name."""
    with contextlib.ExitStack() as stack:
        for where, instead in PROTECTIONS[name].without:
            module, _, path = where.partition(":")
            owner: Any = importlib.import_module(module)
            *parts, last = path.split(".")
            for part in parts:
                owner = getattr(owner, part)
            stack.callback(_setter(owner, last, owner.__dict__[last]))
            setattr(owner, last, instead)
        yield


def _setter(owner: Any, name: str, value: Any) -> Callable[[], None]:
    return lambda: setattr(owner, name, value)
