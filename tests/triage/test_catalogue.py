"""The rules themselves: every one with its examples, and what is refused when it is loaded."""

import pytest

from andon.runtime.errors import Refused
from andon.triage.catalogue import faults, packaged, read_rules, together
from andon.triage.engine import Engine
from andon.triage.literals import required

SOUND = """
[[rule]]
id = "local.vpn"
kind = "network"
match = 'vpn tunnel is down'
weight = 70
examples.match = ["error: vpn tunnel is down"]
examples.no_match = ["vpn tunnel is up"]
"""


def test_the_packaged_rules_have_no_fault() -> None:
    assert faults(packaged()) == []
    assert len(packaged()) > 100


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"network"', '"netwrok"', "is no kind"),
        ("'vpn tunnel is down'", "'(?=vpn) tunnel'", "no RE2 pattern"),
        ("'vpn tunnel is down'", r"'(\w)\1'", "no RE2 pattern"),
        ("'vpn tunnel is down'", r"'\d+'", "no text of three letters"),
        ("'vpn tunnel is down'", "'vpn tunnel'", "which it says it must not"),
        ("'vpn tunnel is down'", "'vpn tunnels'", "does not fit its own example"),
        ('["vpn tunnel is up"]', "[]", "examples of both sorts"),
        ("weight = 70", "weight = 700", "not between 1 and 100"),
        ('"local.vpn"', '"disk.no-space"', "taken already"),
        ("'vpn tunnel is down'", "'vpn tunnel is down'\nfind = ['absent text']", "none of the texts"),
        ('["error: vpn tunnel is down"]', '["vpn tunnel is down: No space left on device"]', "speaks first"),
    ],
)
def test_a_rule_that_cannot_be_used_is_named(old: str, new: str, says: str) -> None:
    assert faults((*packaged(), *read_rules("local.toml", SOUND))) == []
    found = faults((*packaged(), *read_rules("local.toml", SOUND.replace(old, new))))
    assert len(found) >= 1
    assert any(says in fault for fault in found), found


def test_an_unknown_key_is_refused_with_its_line() -> None:
    with pytest.raises(Refused, match=r"local\.toml:\d+: unknown key"):
        read_rules("local.toml", SOUND.replace("weight", "wieght"))


def test_a_local_rule_takes_the_place_of_ours() -> None:
    text = SOUND.replace("local.vpn", "disk.no-space").replace("vpn tunnel is", "room is")
    rules = together(read_rules("local.toml", text), packaged())
    assert faults(rules, local=1) == []
    assert len(rules) == len(packaged())
    assert Engine(rules).judge([b"error: room is down"]).evidence[0].rule == "disk.no-space"


def test_a_local_rule_may_speak_before_ours() -> None:
    text = SOUND.replace("vpn tunnel is down", "No space left on device").replace("weight = 70", "weight = 99")
    rules = together(read_rules("local.toml", text), packaged())
    assert faults(rules, local=1) == []
    assert Engine(rules).judge([b"write: No space left on device"]).kind == "network"


def test_a_rule_that_speaks_in_passing_jobs_is_too_loud() -> None:
    rules = read_rules("local.toml", SOUND)
    logs = [[b"vpn tunnel is down"] if number < 3 else [b"fine"] for number in range(100)]
    assert "3 of 100" in Engine(rules).too_loud(logs)[0]


@pytest.mark.parametrize(
    ("pattern", "texts"),
    [
        ("No space left", ("No space left",)),
        (r"error\[E\d+\]", ("error[E",)),
        ("a|bcdef", None),
        ("(?i)foo(?:bar|bazz)+", ("foo",)),
        ("(?:alpha|beta)x", ("alpha", "beta")),
        ("abcd?e", ("abc",)),
        ("[abc]+", None),
        (r"\bKilled\b", ("Killed",)),
    ],
)
def test_what_every_match_must_hold(pattern: str, texts: tuple[str, ...] | None) -> None:
    assert required(pattern) == texts
