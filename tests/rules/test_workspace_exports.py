"""The table of exports: nothing in it leads out of a workspace or takes a variable that is somebody else's."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.rules.workspace_exports import folders, variables, wrong_folder, wrong_variable


@pytest.mark.parametrize("name", ["target", "a/b/c", "cargo-home", "_x", "v1.2+3@x"])
def test_a_folder_below(name: str) -> None:
    assert wrong_folder(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        "/etc",
        "..",
        "a/../b",
        "a//b",
        "a/",
        ".",
        "a/.",
        ".hidden",
        "-rf",
        "a\nb",
        "a\0b",
        "ü",
        "/".join("abcdefghi"),
    ],
)
def test_no_folder_below(name: str) -> None:
    assert wrong_folder(name) is not None


@given(st.text(max_size=40))
def test_whatever_is_let_through_stays_below(name: str) -> None:
    if wrong_folder(name) is None:
        assert os.path.normpath(f"/w/{name}") == f"/w/{name}"


@pytest.mark.parametrize("name", ["CARGO_TARGET_DIR", "_x", "ANDONX", "PATHS"])
def test_a_variable(name: str) -> None:
    assert wrong_variable(name) is None


@pytest.mark.parametrize(
    "name", ["", "1A", "A B", "A=B", "A\n", "PATH", "LD_PRELOAD", "ANDON_X", "GITHUB_ENV", "RUNNER_TEMP"]
)
def test_no_variable(name: str) -> None:
    assert wrong_variable(name) is not None


def test_folders_above_come_first_and_each_once() -> None:
    assert folders({"A": "x/y/z", "B": "x/y", "C": "x/y/z"}) == ("tmp", "x", "x/y", "x/y/z")


def test_temporary_files_go_with_the_workspace_wherever_a_pool_wants_them() -> None:
    assert variables({}, "/w") == {"TMPDIR": "/w/tmp"}
    assert variables({"TMPDIR": "scratch", "CARGO_HOME": "home"}, "/w") == {
        "TMPDIR": "/w/scratch",
        "CARGO_HOME": "/w/home",
    }
    assert folders({"TMPDIR": "scratch"}) == ("scratch",)
