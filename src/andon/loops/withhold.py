"""Loop "withheld": keeps GitHub from giving jobs to adopted runners whose slots are not open, and gives back what it
took when they are (interfaces.md section 3).

It carries out what was intended with a host, which passed its own rail. What a runner carried is written down before
it is taken off; every call may be repeated. What cannot be done here is left to the host's agent, which stops the
listener instead.
"""

from datetime import timedelta

from msgspec.structs import replace
from sqlalchemy import Connection

from andon.github.outcomes import Failed, FailureClass
from andon.github.runner_payloads import RunnerLabel
from andon.github.scope import Scope
from andon.loops.fleet import Fleet
from andon.model.nouns import Registration
from andon.model.withheld import Stage, Withheld
from andon.rules.withholding import (
    AGAIN_AFTER,
    LOOKED_AT_AGAIN,
    PARKING,
    TRIED_FOR,
    Group,
    Lever,
    choose,
    parking,
)
from andon.store import adopted_slots, hosts, withheld
from andon.store.transaction import Tx

MOST = 10
"""Runners in one pass: a host with more is done in the next ones, a second apart."""
_REFUSALS = frozenset({FailureClass.FORBIDDEN, FailureClass.GONE, FailureClass.INVALID, FailureClass.BUG})
"""Answers that are the same when the call is repeated."""


class Withhold:
    """One pass brings rows and intents together, and takes or gives back what is due."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    async def run_once(self) -> float | None:
        """Gives the seconds until something is due again."""
        if self._fleet.lease() is None:
            return None
        rows = await self._fleet.store.read(withheld.all_withheld)
        if await self._fleet.store.read(lambda connection: withheld.changes_due(connection, rows)):
            await self._fleet.write(withheld.agree)
            rows = await self._fleet.store.read(withheld.all_withheld)
        now = self._fleet.clock.now()
        due = [row for row in rows if row.due_at <= now]
        for row in due[:MOST]:
            await (self._return(row) if row.stage is Stage.RETURNING else self._take(row))
        left = await self._fleet.store.read(withheld.all_withheld)
        if not left:
            return None
        return max(1.0, (min(row.due_at for row in left) - self._fleet.clock.now()).total_seconds())

    async def _take(self, row: Withheld) -> None:
        found = row if row.labels or row.group_id is not None else await self._located(row)
        if found is None:
            await self._cannot(row, "GitHub's list of runners does not show it, or shows its name twice", hard=False)
            return
        assert found.runner_id is not None
        labels = await self._fleet.github.runner_labels(_scope(found), found.runner_id)
        if isinstance(labels, Failed):
            await self._failed(found, labels)
            return
        carried = [label.name for label in labels if not _is_own(label)]
        known = tuple(dict.fromkeys((*found.labels, *carried)))
        own = [label.name for label in labels if _is_own(label)]
        choice = choose(known, own, self._fleet.config.pool)
        if choice.lever is Lever.GROUP:
            await self._park(found, choice.reason)
        elif carried:
            await self._take_labels(replace(found, labels=known), choice.reason)
        else:
            await self._taken(found, choice.reason)

    async def _located(self, row: Withheld) -> Withheld | None:
        """The row with where its runner is registered, by GitHub's list as it was read last."""

        def read(connection: Connection) -> Registration | None:
            here = hosts.all_slots(connection, host=row.host)
            return adopted_slots.registrations_of(connection, here).get(row.runner)

        found = await self._fleet.store.read(read)
        if found is None:
            return None
        return replace(row, owner=found.owner, repository=found.repository, runner_id=found.runner_id)

    async def _take_labels(self, row: Withheld, reason: str) -> None:
        assert row.runner_id is not None
        if not await self._written(row):
            return
        answer = await self._fleet.github.set_runner_labels(_scope(row), row.runner_id, ())
        if isinstance(answer, Failed):
            await self._failed(row, answer)
        else:
            await self._taken(row, reason)

    async def _park(self, row: Withheld, reason: str) -> None:
        if row.repository:
            await self._cannot(row, f"{reason}, and a repository has no runner groups", hard=True)
            return
        groups = await self._groups(row.owner)
        if isinstance(groups, Failed):
            await self._failed(row, groups)
            return
        park = parking(groups)
        if park is None:
            text = f"{reason}, and {row.owner} has no runner group {PARKING} for selected repositories"
            await self._cannot(row, text, hard=True)
            return
        assert row.runner_id is not None
        runner = await self._fleet.github.runner(_scope(row), row.runner_id)
        if isinstance(runner, Failed):
            await self._failed(row, runner)
            return
        if runner.runner_group_id is None:
            await self._cannot(row, f"{reason}, and GitHub does not say its runner group", hard=True)
            return
        if runner.runner_group_id != park.id:
            row = replace(row, group_id=runner.runner_group_id)
            if not await self._written(row):
                return
            moved = await self._fleet.github.move_runner(row.owner, park.id, runner.id)
            if moved is not None:
                await self._failed(row, moved)
                return
        await self._taken(row, f"{reason}, so it is moved to the runner group {PARKING}")

    async def _groups(self, org: str) -> tuple[Group, ...] | Failed:
        listed = await self._fleet.github.runner_groups(org)
        if isinstance(listed, Failed):
            return listed
        return tuple(Group(id=each.id, name=each.name, visibility=each.visibility) for each in listed.items)

    async def _return(self, row: Withheld) -> None:
        failed = await self._given_back(row)
        if failed is None:
            await self._dropped(row, f"the slot is open: runner {row.runner} has its labels and its group again")
        elif failed.kind is FailureClass.GONE and await self._is_gone(row):
            await self._dropped(row, f"GitHub does not know runner {row.runner} any more")
        else:
            now = self._fleet.clock.now()
            pause = min(max(now - row.since, AGAIN_AFTER), LOOKED_AT_AGAIN)
            await self._wait(replace(row, due_at=now + pause), f"not given back yet: {failed.message}")

    async def _given_back(self, row: Withheld) -> Failed | None:
        if row.runner_id is None:
            return None
        if row.labels:
            answer = await self._fleet.github.add_runner_labels(_scope(row), row.runner_id, row.labels)
            if isinstance(answer, Failed):
                return answer
        if row.group_id is None:
            return None
        runner = await self._fleet.github.runner(_scope(row), row.runner_id)
        if isinstance(runner, Failed):
            return runner
        groups = await self._groups(row.owner)
        if isinstance(groups, Failed):
            return groups
        park = parking(groups)
        if park is None or runner.runner_group_id != park.id:
            # Somebody put it elsewhere since.
            return None
        return await self._fleet.github.move_runner(row.owner, row.group_id, row.runner_id)

    async def _is_gone(self, row: Withheld) -> bool:
        assert row.runner_id is not None
        runner = await self._fleet.github.runner(_scope(row), row.runner_id)
        return isinstance(runner, Failed) and runner.kind is FailureClass.GONE

    async def _written(self, row: Withheld) -> bool:
        """Writes down what is about to be taken; False: it is not wanted any more."""
        return await self._fleet.write(lambda tx: self._keep(tx, row))

    async def _taken(self, row: Withheld, reason: str) -> None:
        now = self._fleet.clock.now()
        is_new = row.stage is not Stage.TAKEN
        after = replace(
            row,
            stage=Stage.TAKEN,
            since=now if is_new else row.since,
            due_at=now + LOOKED_AT_AGAIN,
            reason=reason,
        )

        def work(tx: Tx) -> None:
            if self._keep(tx, after) and is_new:
                withheld.tell(tx, after, "slot.withheld", f"GitHub gives runner {row.runner} no job: {reason}")

        await self._fleet.write(work)

    async def _failed(self, row: Withheld, failed: Failed) -> None:
        await self._cannot(row, f"GitHub: {failed.message}", hard=failed.kind in _REFUSALS)

    async def _cannot(self, row: Withheld, reason: str, *, hard: bool) -> None:
        """Its agent stops the listener: at once where GitHub refuses, after a while where it does not answer."""
        now = self._fleet.clock.now()
        again: timedelta = LOOKED_AT_AGAIN if hard else AGAIN_AFTER
        if not hard and row.stage is Stage.TAKING and now - row.since < TRIED_FOR:
            await self._wait(replace(row, due_at=now + again), reason)
            return
        is_new = row.stage is not Stage.LISTENER
        after = replace(
            row,
            stage=Stage.LISTENER,
            since=now if is_new else row.since,
            due_at=now + again,
            reason=reason,
        )

        def work(tx: Tx) -> None:
            if self._keep(tx, after) and is_new:
                text = f"the listener of runner {row.runner} is stopped when it is idle: {reason}"
                withheld.tell(tx, after, "slot.listener_stops", text)

        await self._fleet.write(work)

    async def _wait(self, row: Withheld, reason: str) -> None:
        await self._fleet.write(lambda tx: self._keep(tx, replace(row, reason=reason)))

    async def _dropped(self, row: Withheld, reason: str) -> None:
        def work(tx: Tx) -> None:
            if self._stands(tx, row):
                withheld.drop(tx, row)
                withheld.tell(tx, row, "slot.given_back", reason)
                tx.nudges |= {"withheld", "registrations"}

        await self._fleet.write(work)

    def _keep(self, tx: Tx, row: Withheld) -> bool:
        if not self._stands(tx, row):
            return False
        withheld.keep(tx, row)
        return True

    def _stands(self, tx: Tx, row: Withheld) -> bool:
        """Whether the row is still on the same way: the intent may have changed while GitHub was asked."""
        now = {(each.host, each.slot): each for each in withheld.all_withheld(tx.connection)}.get((row.host, row.slot))
        if now is None or now.runner != row.runner:
            return False
        return (now.stage is Stage.RETURNING) is (row.stage is Stage.RETURNING)


def _scope(row: Withheld) -> Scope:
    return Scope(owner=row.owner, repository=row.repository or None)


def _is_own(label: RunnerLabel) -> bool:
    """Whether GitHub gave it by itself; such a label cannot be taken off."""
    return label.type == "read-only"
