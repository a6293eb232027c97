"""`andon drill`: what can be played, and that a drill which passes without its protection is a finding (R88)."""

import json
from typing import Any

import pytest

from andon.cli import drill as command
from andon.sim.drills import drill as drills


def test_the_list_names_what_protects_from_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.drill_list(json=True) == 0
    listed = {each["id"]: each["protection"] for each in json.loads(capsys.readouterr().out)["drills"]}
    assert listed["T7"] == "orders to stop"
    assert [number for number, protection in listed.items() if not protection] == ["season"]


def test_without_its_protection_a_drill_has_to_fail(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.drill_run("T7", unprotected=True) == 0
    assert "1 of 1 failed without their protection" in capsys.readouterr().out
    monkeypatch.setattr(drills.Drill, "play_unprotected", drills.Drill.play)
    assert command.drill_run("T7", unprotected=True) == 1


def test_a_season_has_no_protection_to_take_out(andon: Any) -> None:
    ran = andon("drill", "run", "season", "--unprotected")
    assert (ran.code, ran.out) == (2, "")
    assert "no protection of its own" in ran.err


def test_days_are_for_the_season_and_at_least_one(andon: Any) -> None:
    for given in (("T4", "--days", "2"), ("season", "--days", "0")):
        ran = andon("drill", "run", *given)
        assert ran.code == 2 and "--days goes with `season`" in ran.err
