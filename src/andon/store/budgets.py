"""Quotas at GitHub, kept by the leader: for the board, for every replica, and for who leads next."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, delete, select

from andon.model.budget import BudgetView
from andon.model.journal import Entry
from andon.store.bulk import insert_new
from andon.store.rows import to_columns, to_struct
from andon.store.schema import budgets
from andon.store.transaction import Tx


def all_budgets(connection: Connection) -> list[BudgetView]:
    """Every budget, by account and resource."""
    rows = connection.execute(select(budgets).order_by(budgets.c.account, budgets.c.resource)).mappings()
    return [to_struct(row, BudgetView) for row in rows]


def handed_over(connection: Connection, now: datetime) -> list[BudgetView]:
    """Every budget as it is by a clock that shows `now`.

    What was noted later than that was dated by a clock that ran ahead: as much is left of it as was left then. So a
    pause becomes no longer than GitHub asked for, and no shorter (I12; limits.md 6, row 8).
    """
    found: list[BudgetView] = []
    for row in connection.execute(select(budgets)).mappings():
        view, noted = to_struct(row, BudgetView), row["noted_at"]
        ahead = noted - now if noted is not None and noted > now else timedelta(0)
        found.append(
            msgspec.structs.replace(
                view,
                until=view.until and view.until - ahead,
                resets_at=view.resets_at and view.resets_at - ahead,
            )
        )
    return found


def degraded(connection: Connection) -> list[BudgetView]:
    """Budgets that keep calls from being sent, with their sentence."""
    return [each for each in all_budgets(connection) if each.degraded is not None]


def save(tx: Tx, views: Sequence[BudgetView]) -> None:
    """Replaces what is kept; that calls began or ceased to be held back is journalled."""
    before = {(each.account, each.resource): each.degraded for each in all_budgets(tx.connection)}
    tx.connection.execute(delete(budgets))
    insert_new(tx.connection, budgets, [to_columns(each) | {"noted_at": tx.now} for each in views])
    now = {(each.account, each.resource): each for each in views}
    for key in sorted(before.keys() | now.keys()):
        held, view = before.get(key), now.get(key)
        sentence = view.degraded if view is not None else None
        if (held is None) != (sentence is None):
            tx.record(
                Entry(
                    actor="loop:budgets",
                    kind="github.recovered" if sentence is None else "github.degraded",
                    subject_kind="budget",
                    subject_id=" ".join(key),
                    reason=sentence or f"calls are sent again; before: {held}",
                    evidence={"until": view.until.isoformat() if view is not None and view.until else None},
                )
            )
            tx.nudges.add("pages")
