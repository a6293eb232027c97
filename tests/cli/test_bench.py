"""`andon bench`: 0 when every bound is kept, 1 when one is missed, 2 when nothing could be measured (R90)."""

import json
from typing import Any

import pytest

from andon.cli import bench as command
from andon.sim.bench.figures import Result, figure


@pytest.mark.parametrize(("ratio", "code", "word"), [(0.9, 0, "holds"), (0.5, 1, "missed")])
def test_the_exit_code_says_whether_the_bounds_are_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ratio: float, code: int, word: str
) -> None:
    async def measured(*_: Any) -> Result:
        figures = (figure("ours / bare", [ratio], "ratio", bound=0.6), figure("rate", [9.0], "1/s"))
        return Result(bench="ingest", conditions="none", figures=figures)

    monkeypatch.setattr(command, "_bench", measured)
    assert command.bench("ingest", json=True) == code
    told = json.loads(capsys.readouterr().out)
    assert told["holds"] is (code == 0)
    assert told["figures"][0]["bound"] == 0.6
    assert command.bench("ingest") == code
    assert word in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [("dispatch", "--rounds", "0"), ("dispatch", "--database", "mysql"), ("speed",)])
def test_bad_usage_is_one_line_and_exit_2(andon: Any, arguments: tuple[str, ...]) -> None:
    ran = andon("bench", *arguments)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
