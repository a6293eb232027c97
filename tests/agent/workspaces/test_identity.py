"""No text of a job becomes a path; what a name says can be read back after a reboot."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from andon.agent.workspaces.identity import parse, reduced, workspace_id
from andon.model.workspaces import JobIdentity

NONCE = "0123456789"


@given(job=st.text(max_size=200), run=st.integers(0, 2**63 - 1), attempt=st.integers(0, 10**9 - 1))
@example(job="../../etc", run=1, attempt=1)
@example(job="a\nb\0c", run=1, attempt=1)
@example(job="", run=1, attempt=1)
@example(job="-", run=1, attempt=1)
@example(job="İſK", run=1, attempt=1)
def test_an_id_is_one_harmless_name_and_says_whose_it_is(job: str, run: int, attempt: int) -> None:
    made = workspace_id(JobIdentity(repository="acme/app", run_id=run, attempt=attempt, job=job, runner="r"), NONCE)
    assert re.fullmatch(r"[a-z0-9-]{1,80}", made) and ".." not in made and "/" not in made
    assert parse(made) == (run, attempt, reduced(job))


@given(st.text(max_size=80))
@example("lost+found")
@example(".partial-1-1-build-0123456789")
@example("99999999999999999999-1-build-0123456789")
@example("9999999999999999999-1-build-0123456789")
@example("007-1-build-0123456789")
@example("1-1-build-0123456789\n")
def test_a_foreign_name_is_not_ours(name: str) -> None:
    assert parse(name) is None, "chance makes none of ours in a thousand years"
