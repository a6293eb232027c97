"""Runs a store function to its end, for tests that have no event loop of their own."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection

from andon.store.transaction import Store, Tx

T = TypeVar("T")


def write(store: Store, work: Callable[[Tx], T]) -> T:
    return asyncio.run(store.write(work))


def read(store: Store, work: Callable[[Connection], T]) -> T:
    return asyncio.run(store.read(work))


def rows(store: Store, statement: Any) -> list[dict[str, Any]]:
    return read(store, lambda connection: [dict(row) for row in connection.execute(statement).mappings()])
