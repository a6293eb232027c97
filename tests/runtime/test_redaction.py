"""Secrets never reach a log, by name or by look; ids never repeat or go back."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from andon.runtime.environment import without_secrets
from andon.runtime.ids import SortableIds
from andon.runtime.redaction import HIDDEN, redact_fields, redact_text
from andon.sim.virtual_time import VirtualClock


def test_secret_fields_are_hidden_and_paths_are_not() -> None:
    fields: dict[str, object] = {"jit": "x", "host_token": "y", "token_file": "github.token", "job": 1}
    assert redact_fields(fields) == {"jit": HIDDEN, "host_token": HIDDEN, "token_file": "github.token", "job": 1}


def test_secrets_are_hidden_at_any_depth() -> None:
    token = "ghs_" + "a" * 36
    fields: dict[str, object] = {
        "lines": [f"git clone https://x:{token}@host", ("plain", {token: 1})],
        "order": {"jit": "x", "claim": "clm_1", "more": {"password": "y", "text": token}},
    }
    assert redact_fields(fields) == {
        "lines": [f"git clone https://x:{HIDDEN}@host", ("plain", {HIDDEN: 1})],
        "order": {"jit": HIDDEN, "claim": "clm_1", "more": {"password": HIDDEN, "text": HIDDEN}},
    }


@given(st.text(max_size=10), st.text(max_size=10))
def test_credentials_are_hidden_wherever_they_stand(before: str, after: str) -> None:
    for secret in (
        "ghp_" + "a" * 36,
        "ghs_" + "a1.b-2_" * 6,
        "eyJhbGciOiJSUzI1NiJ9." + "e" * 30 + ".s-_" + "f" * 20,
        "eyJ" + "aB3+/" * 10 + "==",
        "github_pat_" + "b" * 30,
        "Bearer abcdef123456",
        "aot_" + "c" * 43,
        "aht_" + "d" * 43,
    ):
        assert secret not in redact_text(f"{before} {secret} {after}")


def test_what_a_child_inherits_holds_nothing_of_ours() -> None:
    assert without_secrets({"PATH": "/bin", "ANDON_TOKEN_FILE": "x"}) == {"PATH": "/bin"}


@given(st.lists(st.integers(0, 3), min_size=1, max_size=300), st.integers())
def test_ids_sort_in_the_order_of_their_making(pauses: list[int], seed: int) -> None:
    clock = VirtualClock()
    ids = SortableIds(clock, Random(seed))
    made: list[str] = []
    for pause in pauses:
        clock.advance(pause / 1000)
        made.append(ids.new("clm"))
    assert made == sorted(set(made))
