"""Two tiers: `make test` runs each property at a tenth of its count or less, `make proof` in full."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, settings

from andon.runtime.ids import SortableIds
from andon.sim.virtual_time import VirtualClock
from andon.store.database import SqliteDatabase
from andon.store.migrate import migrate
from andon.store.transaction import Store

_QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("test", max_examples=60, deadline=None, suppress_health_check=_QUIET, print_blob=True)
settings.register_profile("proof", max_examples=2000, deadline=None, suppress_health_check=_QUIET, print_blob=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--proof", action="store_true", help="run the full counts")


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
def count(request: pytest.FixtureRequest) -> Callable[[int], int]:
    """`count(200)`: 200 in the proof, a tenth of it in the test."""
    proof = request.config.getoption("--proof")
    return lambda full: full if proof else max(1, full // 10)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SqliteDatabase]:
    path = tmp_path / "andon.db"
    made = SqliteDatabase(path, lambda engine: migrate(engine, str(path)))
    yield made
    made.close()


@pytest.fixture
def store(database: SqliteDatabase, clock: VirtualClock) -> Store:
    return Store(database, clock, SortableIds(clock, Random(1)))
