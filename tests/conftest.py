"""Two tiers: `make test` runs each property at a tenth of its count or less, `make proof` in full."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from zlib import crc32

import pytest
from hypothesis import HealthCheck, settings

from andon.runtime.errors import Refused
from andon.runtime.ids import SortableIds
from andon.sim.stage.postgres import PostgresServer
from andon.sim.virtual_time import VirtualClock
from andon.store.postgres import PostgresDatabase
from andon.store.sqlite import SqliteDatabase
from andon.store.transaction import Store
from tests.support.databases import KINDS, Place, a_place, make_template

_QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("test", max_examples=60, deadline=None, suppress_health_check=_QUIET, print_blob=True)
settings.register_profile("proof", max_examples=2000, deadline=None, suppress_health_check=_QUIET, print_blob=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--proof", action="store_true", help="run the full counts")
    parser.addoption("--step", type=int, default=0, help="which twenty seeds of the proof's seasons, from 0 on")


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("proof" if config.getoption("--proof") else "test")


_SKIPPED: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and isinstance(report.longrepr, tuple):
        _SKIPPED.append(f"{report.nodeid}: {report.longrepr[2]}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where packages were installed first (`.ci/run`), only what the kernel lacks may be skipped."""
    if os.environ.get("ANDON_TEST_SKIPS") == "kernel":
        others = [each for each in _SKIPPED if ": Skipped: kernel:" not in each]
        if others:
            print("\nSkipped, and may not be skipped here:", *others, sep="\n  ")
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture
def count(request: pytest.FixtureRequest) -> Callable[..., int]:
    """`count(200)`: 200 in the proof, a tenth of it in the test; `count(200, test=8)` where a tenth takes long."""
    proof = request.config.getoption("--proof")

    def counted(full: int, *, test: int | None = None) -> int:
        return full if proof else max(1, full // 10) if test is None else test

    return counted


@pytest.fixture(autouse=True)
def github_contract() -> Iterator[None]:
    """Whatever a test's watched sandbox was asked and answered fits what GitHub publishes."""
    yield
    # Imported by the tests that have such a sandbox; the others do not pay for it.
    watch = sys.modules.get("tests.support.contract_watch")
    assert watch is None or watch.take() == []


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server for this session, with a migrated template. Loud skip where none is to be had."""
    # Speed before durability: a test that ends the server by force takes one of its own.
    settings = {"fsync": "off", "full_page_writes": "off", "max_connections": "200"}
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(PostgresServer.started(settings))
        except Refused as error:
            pytest.skip(f"PostgreSQL: {error}")
        make_template(server)
        yield server


BOTH = ("store", "loops")
"""Folders whose tests hold for every database: they run on both."""
IN_TURN = ("loops",)
"""Those of them whose tests run on both in the proof only, and on one or the other in the test: what a database does
differently is the store's, and its suite runs on both always."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "place" in metafunc.fixturenames:
        folder = metafunc.definition.path.parent.name
        kinds = KINDS if folder in BOTH else KINDS[:1]
        if folder in IN_TURN and not metafunc.config.getoption("--proof"):
            turn = crc32(f"{metafunc.definition.path.name}::{metafunc.function.__name__}".encode()) % len(KINDS)
            kinds = KINDS[turn : turn + 1]
        # A file that is about one of them says so.
        metafunc.parametrize("place", getattr(metafunc.module, "DATABASES", kinds), indirect=True)


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with a_place(request.param, tmp_path, lambda: request.getfixturevalue("postgres")) as made:
        yield made


@pytest.fixture
def database(place: Place) -> Iterator[SqliteDatabase | PostgresDatabase]:
    made = place.open()
    yield made
    made.close()


@pytest.fixture
def store(database: SqliteDatabase | PostgresDatabase, clock: VirtualClock) -> Store:
    return Store(database, clock, SortableIds(clock, Random(1)))
