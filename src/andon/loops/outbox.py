"""Loop "outbox": performs acts that were decided, some at a time, and records how each went.

An act may be performed twice (a crash between act and record); each kind in `acts` is written so
that this does no harm. An act that changes something outside passes its rail first, or is held back (`rails`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from sqlalchemy import Connection

from andon.loops.fleet import Fleet
from andon.loops.rails import admitted, hold_back
from andon.rules.backoff import backoff
from andon.rules.rails import CAPS, CONSEQUENCES, Admission, rail_of, shut_kinds, tell
from andon.store import outbox, rail_gate
from andon.store.leases import Fenced
from andon.store.outbox import Act
from andon.store.rail_gate import Modes

AT_ONCE = 16
"""Acts under way together; GitHub allows 100 requests at once (contract section 5)."""

FENCED_S = 5.0
"""How soon an act is tried again that the database refused because somebody else leads, or nobody."""

Perform = Callable[[Act], Awaitable[None]]


class Outbox:
    """One pass starts what is due; each act that ends wakes the loop again."""

    def __init__(self, fleet: Fleet, acts: Mapping[str, Perform], wake: Callable[[], None]) -> None:
        self._fleet = fleet
        self._acts = acts
        self._wake = wake
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._held: dict[str, float] = {}
        """Acts whose postponement could not be written: not before this monotonic time."""

    async def run_once(self) -> float | None:
        """Starts due acts up to the limit; gives the seconds until the next one is due."""
        if self._fleet.lease() is None:
            return None
        now = self._fleet.clock.now()
        room = AT_ONCE - len(self._under_way)
        if room <= 0:
            return None
        monotonic = self._fleet.clock.monotonic()
        self._held = {act_id: until for act_id, until in self._held.items() if until > monotonic}
        busy = frozenset(self._under_way) | frozenset(self._held)
        fleet_mode = self._fleet.config.rails.mode

        def look(connection: Connection) -> tuple[list[Act], Modes]:
            modes = rail_gate.modes(connection, fleet_mode)
            shut = shut_kinds(modes.of, lambda rail: modes.full_until(rail, now) is not None)
            # What is held back takes no place of those that can be performed, nor a write each time.
            found = (
                outbox.due_but(connection, now, room, busy, shut) if shut else outbox.due(connection, now, room, busy)
            )
            return found, modes

        acts, modes = await self._fleet.store.read(look)
        for act in acts:
            task = asyncio.create_task(self._perform(act, modes), name=f"act {act.kind}")
            self._under_way[act.id] = task
            task.add_done_callback(lambda _, act_id=act.id: self._ended(act_id))
        upcoming = await self._fleet.store.read(lambda connection: outbox.next_due(connection, now))
        # A rail that is full opens by itself, and what it holds back may be due already.
        moments = [at for at in (upcoming, modes.next_tick(now)) if at is not None]
        return max(0.01, (min(moments) - self._fleet.clock.now()).total_seconds()) if moments else None

    async def stop(self, seconds: float) -> None:
        """Lets acts under way end, at most `seconds`; what is cut off is performed again later."""
        tasks = list(self._under_way.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _ended(self, act_id: str) -> None:
        self._under_way.pop(act_id, None)
        self._wake()

    async def _perform(self, act: Act, modes: Modes) -> None:
        perform = self._acts.get(act.kind)
        try:
            if perform is None:
                # Written by a newer version; a later one may know it.
                await self.postpone(act, "this version does not know the kind of act")
                return
            if await self._may_begin(act, modes):
                await perform(act)
        except Fenced as error:
            self._leave(act, error)
        except Exception as error:
            self._fleet.log.exception("act.failed", act=act.id, act_kind=act.kind, attempts=act.attempts)
            await self.postpone(act, f"{type(error).__name__}: {error}")

    async def _may_begin(self, act: Act, modes: Modes) -> bool:
        """Whether the rail lets the act through, or lets it look first and ask then."""
        on = rail_of(act.kind)
        if on is None:
            return await self._may_look(act, modes)
        mode = modes.of(on.rail)
        if mode != "act":
            await hold_back(self._fleet, act, on, mode)
            return False
        if on.asks_itself:
            if (full_until := modes.full_until(on.rail, self._fleet.clock.now())) is not None:
                await hold_back(self._fleet, act, on, mode, full_until)
            return full_until is None
        if CAPS[on.rail] is None:
            if not act.attempts:
                tell(self._fleet.count, Admission(rail=on.rail, mode=mode))
            return True
        return await admitted(self._fleet, act, on)

    async def _may_look(self, act: Act, modes: Modes) -> bool:
        """What only reads is begun in any mode; not while the rail of what would follow is full: the same calls
        would be made again in its next tick."""
        on = CONSEQUENCES.get(act.kind)
        if on is None or modes.of(on.rail) != "act":
            return True
        full_until = modes.full_until(on.rail, self._fleet.clock.now())
        if full_until is not None:
            await hold_back(self._fleet, act, on, "act", full_until)
        return full_until is None

    async def postpone(self, act: Act, reason: str) -> None:
        """Tries again later, with a growing pause; held back in memory when even that cannot be written."""
        pause = backoff(act.attempts)
        until = self._fleet.clock.now() + pause
        try:
            await self._fleet.write(lambda tx: outbox.postpone(tx, act, until=until, reason=reason[:500]))
        except Fenced as error:
            self._leave(act, error)
        except Exception:
            self._held[act.id] = self._fleet.clock.monotonic() + max(5.0, pause.total_seconds())
            self._fleet.log.exception("act.not_postponed", act=act.id, act_kind=act.kind)

    def _leave(self, act: Act, error: Fenced) -> None:
        """Whoever leads now performs it; we may lead again in a moment."""
        self._held[act.id] = self._fleet.clock.monotonic() + FENCED_S
        self._fleet.log.info("act.fenced", act=act.id, act_kind=act.kind, reason=str(error))
