"""Statements that are compiled once give what the library gives, on both databases."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, bindparam, exc, insert, select, update

from andon.model.job_states import JobStatus
from andon.model.nouns import Job
from andon.sim.virtual_time import VirtualClock
from andon.store.prepared import Prepared, Records, listed, values_of
from andon.store.rows import to_columns
from andon.store.schema import jobs
from andon.store.transaction import Store
from tests.support.builders import START
from tests.support.running import read, write

INSERT = Prepared(insert(jobs).values({column.name: bindparam(column.name) for column in jobs.columns}))
ALL = select(jobs).order_by(jobs.c.id)
BY_FORK = select(jobs).where(jobs.c.fork == bindparam("fork"), jobs.c.name != "a literal").order_by(jobs.c.id)


def a_job(job_id: int, **changes: Any) -> Job:
    defaults: dict[str, Any] = {
        "id": job_id,
        "repository": "acme/app",
        "owner": "acme",
        "run_id": 10,
        "attempt": 1,
        "name": "build",
        "workflow": None,
        "branch": None,
        "sha": "a" * 40,
        "labels": ("linux",),
        "pool": None,
        "status": JobStatus.QUEUED,
        "conclusion": None,
        "created_at": START,
        "queued_at": START,
        "started_at": None,
        "completed_at": None,
        "runner_id": None,
        "runner_name": None,
        "order_at": None,
        "observed_at": START,
    }
    return Job(**{**defaults, **changes})


@pytest.fixture
def kept(store: Store, clock: VirtualClock) -> list[Job]:
    """Jobs with every kind of value: absent ones, lists, instants, truth values."""
    now = clock.now()
    made = [
        a_job(1, labels=(), fork=None, queued_at=None),
        a_job(2, labels=('a "b"', "\u4e2d"), fork=True, queued_at=now + timedelta(microseconds=1)),
        a_job(3, labels=("linux",), fork=False, runner_name=None, queued_at=now - timedelta(days=9000)),
    ]
    for each in made:
        write(store, lambda tx, each=each: INSERT.run(tx.connection, **to_columns(each)))
    return made


def test_structs_come_back_as_they_went_in(store: Store, kept: list[Job]) -> None:
    assert read(store, Records(ALL, Job).structs) == kept


def test_rows_are_those_of_the_library(store: Store, kept: list[Job]) -> None:
    prepared = [tuple(row) for row in read(store, Prepared(ALL).all)]
    library = [tuple(row) for row in read(store, lambda connection: connection.execute(ALL).all())]
    assert prepared == library and len(prepared) == len(kept)


def test_values_by_name_and_values_in_the_statement(store: Store, kept: list[Job]) -> None:
    of_forks = Records(BY_FORK, Job)
    for fork, expected in ((True, [2]), (False, [3])):
        found = read(store, lambda connection, fork=fork: of_forks.structs(connection, fork=fork))
        assert [each.id for each in found] == expected


def test_a_value_that_is_not_given_is_an_error_and_not_a_null(store: Store, kept: list[Job]) -> None:
    with pytest.raises((KeyError, exc.StatementError)):
        read(store, Records(BY_FORK, Job).structs)


def test_lists_of_a_length(store: Store, kept: list[Job]) -> None:
    some = Records(select(jobs).where(jobs.c.id.in_(listed("id", 2))).order_by(jobs.c.id), Job)
    found = read(store, lambda connection: some.structs(connection, **values_of("id", [3, 1])))
    assert found == [kept[0], kept[2]]


def test_a_list_without_places_is_refused_where_it_would_not_run(store: Store) -> None:
    some = Prepared(select(jobs.c.id).where(jobs.c.id.in_([1, 2])))
    if read(store, lambda connection: connection.dialect.name) == "sqlite":
        with pytest.raises(TypeError, match="listed"):
            read(store, some.all)


def test_changes_are_counted_and_undone_with_their_transaction(store: Store, kept: list[Job]) -> None:
    rename = Prepared(update(jobs).where(jobs.c.id >= bindparam("least")).values(name=bindparam("name")))

    def change(connection: Connection) -> int:
        return rename.run(connection, least=2, name="other")

    def change_and_fail(tx: Any) -> None:
        change(tx.connection)
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        write(store, change_and_fail)
    assert read(store, Records(ALL, Job).structs) == kept
    assert write(store, lambda tx: change(tx.connection)) == 2


def test_one_row_or_none(store: Store, kept: list[Job]) -> None:
    one = Records(select(jobs).where(jobs.c.id == bindparam("id")), Job)
    assert read(store, lambda connection: one.struct(connection, id=2)) == kept[1]
    assert read(store, lambda connection: one.struct(connection, id=9)) is None
    assert read(store, lambda connection: one.value(connection, id=2)) == 2
    assert read(store, lambda connection: one.value(connection, id=9)) is None


def test_an_error_is_the_librarys_and_shows_no_values(store: Store, kept: list[Job]) -> None:
    with pytest.raises(exc.IntegrityError) as caught:
        write(store, lambda tx: INSERT.run(tx.connection, **{**to_columns(kept[1]), "name": "a-secret"}))
    assert "a-secret" not in str(caught.value)


def test_an_absent_value_may_stand_in_the_statement(store: Store, kept: list[Job]) -> None:
    forget = Prepared(update(jobs).where(jobs.c.id == bindparam("job")).values(queued_at=None, workflow=None))
    write(store, lambda tx: forget.run(tx.connection, job=2))
    found = read(store, lambda connection: Records(ALL, Job).structs(connection))
    assert [each.queued_at for each in found] == [None, None, kept[2].queued_at]
