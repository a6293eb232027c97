"""`andon triage`: what it prints and ends with, of files, standard input and many logs; rules of one's own (R75)."""

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

Andon = Any
FULL = "error: failed to build archive: No space left on device (os error 28)\n"
RULE = """
[[rule]]
id = "ours.seal"
kind = "network"
match = 'the seal of \\w+ is broken'
weight = 90
examples.match = ["the seal of crate is broken"]
examples.no_match = ["the seal is whole"]
"""


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Any:
    def says(text: str) -> None:
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(text.encode())))

    return says


def test_a_file_is_judged_with_the_line_that_says_so(andon: Andon, tmp_path: Path) -> None:
    (tmp_path / "job.log").write_text(f"Compiling\n{FULL}")
    ran = andon("triage", str(tmp_path / "job.log"))
    assert ran.code == 1
    assert "ours: disk-full" in ran.out and "line 2" in ran.out and "No space left" in ran.out


@pytest.mark.parametrize("words", [("-",), (), ("--json", "-")])
def test_standard_input_is_judged_by_a_dash_or_nothing(andon: Andon, stdin: Any, words: tuple[str, ...]) -> None:
    stdin(FULL)
    ran = andon("triage", *words)
    assert ran.code == 1 and "disk-full" in ran.out


def test_what_says_nothing_is_unknown(andon: Andon, stdin: Any) -> None:
    stdin("hello\n")
    ran = andon("triage", "--json")
    assert ran.code == 2
    found = json.loads(ran.out)
    assert (found["family"], found["rerun"], found["evidence"]) == ("unknown", False, [])


def test_many_logs_are_judged_line_by_line(andon: Andon, tmp_path: Path) -> None:
    rows = [{"id": "a", "text": FULL}, {"id": "b", "text": "nothing here"}]
    (tmp_path / "many.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ran = andon("triage", "--batch", "--json", str(tmp_path / "many.jsonl"))
    found = [json.loads(line) for line in ran.out.splitlines()]
    assert [(each["id"], each["family"]) for each in found] == [("a", "infra"), ("b", "unknown")]


def test_bad_input_is_one_sentence(andon: Andon, tmp_path: Path) -> None:
    for words in (("nowhere.log",), ("--jsno",), ("--job", str(tmp_path / "no.json"), "-")):
        ran = andon("triage", *words)
        assert ran.code == 2 and ran.err.startswith("andon: ") and len(ran.err.splitlines()) == 1, ran.err


def test_rules_of_ones_own_are_checked_and_used(andon: Andon, tmp_path: Path, stdin: Any) -> None:
    ours = tmp_path / "ours.toml"
    ours.write_text(RULE)
    assert andon("triage", "rules", "check", str(ours)).code == 0
    stdin("the seal of serde is broken\n")
    assert andon("triage", "-").code == 2
    stdin("the seal of serde is broken\n")
    ran = andon("triage", "--rules", str(ours), "--json", "-")
    assert ran.code == 1 and json.loads(ran.out)["evidence"][0]["rule"] == "ours.seal"
    ours.write_text(RULE.replace("broken'", "broken(?='"))
    wrong = andon("triage", "rules", "check", str(ours))
    assert wrong.code == 2 and "ours.seal" in wrong.out + wrong.err
