"""The gate that every automatic act passes: the rail's mode, its switch, its cap (R31, law 7).

`admit` is called in the transaction that does the act, or in the one directly before it. Switch and
count lie in the database, so they are the same for every replica, and after every restart.
"""

from collections.abc import Collection, Mapping
from datetime import datetime

import msgspec
from sqlalchemy import Connection, bindparam, func, select, update

from andon.model.api import SwitchView
from andon.model.config import Mode
from andon.model.journal import Entry
from andon.model.rails import Rail, RailMode
from andon.rules.rails import CAPS, EVENT_ENDS, TICK, Admission, kinds_on, stricter
from andon.store.announcements import EVERYTHING
from andon.store.prepared import Prepared, Records
from andon.store.rails import let_go, mode_since
from andon.store.schema import hosts, rails, slots
from andon.store.transaction import Tx
from andon.store.upsert import upsert


class RailState(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of one rail."""

    rail: str
    switch: RailMode | None = None
    reason: str | None = None
    switched_at: datetime | None = None
    tick_at: datetime | None = None
    acts: int = 0
    full_at: datetime | None = None
    capped_at: datetime | None = None
    cap: int | None = None

    def acts_in_tick(self, now: datetime) -> int:
        """Acts since the present tick began."""
        return self.acts if self.tick_ends(now) is not None else 0

    def tick_ends(self, now: datetime) -> datetime | None:
        """The end of the present tick; None: the next act begins one. A clock that was set back ends it."""
        if self.tick_at is None or not self.tick_at <= now < self.tick_at + TICK:
            return None
        return self.tick_at + TICK

    def capped_since(self, now: datetime) -> datetime | None:
        """When the present cap event began; None when the cap was not reached lately."""
        lately = self.full_at is not None and abs(now - self.full_at) <= EVENT_ENDS
        return self.capped_at if lately else None

    def full_until(self, now: datetime) -> datetime | None:
        """Until when the rail lets nothing through, its cap being used up."""
        used_up = self.full_at is not None and self.tick_at is not None and self.full_at >= self.tick_at
        return self.tick_ends(now) if used_up else None


# Made once: every act, every round and every sync asks.
_ALL = Records(select(rails).order_by(rails.c.rail), RailState)
_SWITCHED = Prepared(select(rails.c.rail, rails.c.switch).where(rails.c.switch.is_not(None)))
_OF_RAIL = Records(select(rails).where(rails.c.rail == bindparam("rail")), RailState)


class Modes(msgspec.Struct, frozen=True, kw_only=True):
    """Every rail as it stands in one snapshot."""

    fleet: Mode
    states: Mapping[Rail, RailState]

    def of(self, rail: Rail) -> RailMode:
        """What the rail may do."""
        state = self.states.get(rail)
        return stricter(self.fleet, state.switch if state is not None else None)

    def full_until(self, rail: Rail, now: datetime) -> datetime | None:
        """Until when its cap is used up, if it is."""
        state = self.states.get(rail)
        return state.full_until(now) if state is not None else None

    def next_tick(self, now: datetime) -> datetime | None:
        """When the first of the rails that are full opens again; None: none is full."""
        return min((until for state in self.states.values() if (until := state.full_until(now))), default=None)

    def capped(self, now: datetime) -> tuple[RailState, ...]:
        """The rails whose cap was reached lately."""
        return tuple(state for state in self.states.values() if state.capped_since(now) is not None)


def modes(connection: Connection, fleet: Mode) -> Modes:
    """Every rail, by one query."""
    known = {rail.value for rail in Rail}
    # A rail of a newer version is not ours to judge.
    states = {Rail(state.rail): state for state in _ALL.structs(connection) if state.rail in known}
    return Modes(fleet=fleet, states=states)


def switch_views(connection: Connection, fleet: Mode, now: datetime) -> tuple[SwitchView, ...]:
    """Every rail as people see it, in the order of the table."""
    found = modes(connection, fleet)
    sizes = {"hosts": _size(connection, "hosts"), "slots": _size(connection, "slots")}
    views: list[SwitchView] = []
    for rail in Rail:
        state, cap = found.states.get(rail, RailState(rail=rail.value)), CAPS[rail]
        views.append(
            SwitchView(
                name=rail.value,
                mode=found.of(rail),
                switch=state.switch,
                reason=state.reason,
                since=state.switched_at,
                cap=None if cap is None else cap.limit(sizes[cap.of]),
                acts=state.acts_in_tick(now),
                capped_since=state.capped_since(now),
            )
        )
    return tuple(views)


def mode_of(connection: Connection, rail: Rail, fleet: Mode) -> RailMode:
    """What one rail may do now."""
    return stricter(fleet, _state(connection, rail).switch)


def modes_of(connection: Connection, wanted: Collection[Rail], fleet: Mode) -> Mapping[Rail, RailMode]:
    """What some rails may do now, by one query: every sync asks."""
    switched: dict[str, RailMode] = {rail: switch for rail, switch in _SWITCHED.all(connection)}
    return {rail: stricter(fleet, switched.get(rail.value)) for rail in wanted}


def admit(tx: Tx, rail: Rail, fleet: Mode) -> Admission:
    """Asks for one act, and counts it when it may be performed. Reaching the cap is journalled once an event."""
    state = _state(tx.connection, rail)
    mode = stricter(fleet, state.switch)
    cap = CAPS[rail]
    if mode != "act" or cap is None:
        return Admission(rail=rail, mode=mode)
    used = state.acts_in_tick(tx.now)
    limit = cap.least
    if cap.share and used + 1 >= limit:
        limit = cap.limit(_size(tx.connection, cap.of))
    if used >= limit:
        ends = state.tick_ends(tx.now) or tx.now + TICK
        _save(tx, rail, full_at=tx.now)
        return Admission(rail=rail, mode=mode, capped_until=ends)
    tick_at = tx.now if state.tick_ends(tx.now) is None else state.tick_at
    reached = used + 1 >= limit
    alert = reached and state.capped_since(tx.now) is None
    values: dict[str, object] = {"tick_at": tick_at, "acts": used + 1}
    if reached:
        values |= {"full_at": tx.now, "cap": limit}
    if alert:
        values["capped_at"] = tx.now
        tx.record(_capped(rail, limit))
    _save(tx, rail, **values)
    return Admission(rail=rail, mode=mode, alert=alert)


def restrained_since(connection: Connection, rail: Rail) -> datetime | None:
    """When the last word on this rail was given, by its switch or by the configuration of a start."""
    given = (_state(connection, rail).switched_at, mode_since(connection))
    return max((at for at in given if at is not None), default=None)


def switch(tx: Tx, rail: Rail, mode: RailMode, *, reason: str, fleet: Mode) -> str:
    """Keeps the operator's word on a rail; gives the journal line. What the rail held back is due at once."""
    before = mode_of(tx.connection, rail, fleet)
    _save(tx, rail, switch=mode, reason=reason, switched_at=tx.now)
    after = stricter(fleet, mode)
    if after == "act":
        let_go(tx, kinds_on(rail))
    # Loops, boards and held syncs on every replica go by it now, not at their next timer.
    tx.nudges.add(EVERYTHING)
    return tx.record(
        Entry(
            actor="operator",
            kind="rail.switched",
            subject_kind="rail",
            subject_id=rail.value,
            from_state=before,
            to_state=after,
            reason=reason,
            evidence={"switch": mode, "fleet": fleet},
        )
    )[0]


def _state(connection: Connection, rail: Rail) -> RailState:
    return _OF_RAIL.struct(connection, rail=rail.value) or RailState(rail=rail.value)


def _save(tx: Tx, rail: Rail, **values: object) -> None:
    changed = tx.connection.execute(update(rails).where(rails.c.rail == rail.value).values(**values))
    if not changed.rowcount:
        upsert(tx.connection, rails, {"rail": rail.value, "acts": 0, **values}, key=("rail",))


def _size(connection: Connection, of: str) -> int:
    return connection.execute(select(func.count()).select_from(hosts if of == "hosts" else slots)).scalar_one()


def _capped(rail: Rail, limit: int) -> Entry:
    return Entry(
        actor=f"rail:{rail.value}",
        kind="rail.capped",
        subject_kind="rail",
        subject_id=rail.value,
        reason=f"{limit} acts in a minute are the cap of this rail; what is beyond it waits for the next minute",
        evidence={"cap": limit, "tick_s": int(TICK.total_seconds())},
    )
