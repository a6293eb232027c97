"""What the control plane said of the configuration outlives it, and nothing of it can break the agent."""

from pathlib import Path

from andon.agent.kept_policy import KeptPolicy
from andon.agent.layout import Root
from andon.model.config import Workspace
from andon.model.host_policy import HostPolicy, policy_for_hosts
from andon.runtime.logging import logger
from tests.support.builders import a_pool

SAID = {"public_url": "https://board", "workspaces": {"linux": {"place": "work", "export": {"TMPDIR": "tmp"}}}}


def kept(path: Path, told: list[HostPolicy]) -> KeptPolicy:
    return KeptPolicy(Root(path=path), told.append, logger("agent"))


def test_what_was_heard_is_there_after_a_restart_without_an_answer(tmp_path: Path) -> None:
    told: list[HostPolicy] = []
    first = kept(tmp_path, told)
    first.hear(SAID)
    first.hear(SAID)
    assert [policy.public_url for policy in told] == [None, "https://board"], "told when it is another one"
    assert kept(tmp_path, told).now == told[-1]
    assert told[-1].workspaces["linux"] == Workspace(place="work", export={"TMPDIR": "tmp"})


def test_what_cannot_be_understood_changes_nothing(tmp_path: Path) -> None:
    told: list[HostPolicy] = []
    one = kept(tmp_path, told)
    one.hear(SAID)
    one.hear({"public_url": 7, "workspaces": "none"})
    one.hear({"public_url": "https://board", "workspaces": {"linux": {"place": "moon"}}})
    assert one.now == told[-1] and one.now.workspaces["linux"].place == "work"
    Root(path=tmp_path).policy.write_bytes(b"\xff half of it")
    assert kept(tmp_path, told).now == HostPolicy()


def test_a_newer_control_plane_may_say_more(tmp_path: Path) -> None:
    one = kept(tmp_path, [])
    one.hear(SAID | {"mood": ["calm"]})
    assert one.now.public_url == "https://board"


def test_hosts_are_told_only_what_differs_from_the_defaults() -> None:
    plain, named = a_pool(), a_pool(name="named", workspace=Workspace(place="work"))
    assert policy_for_hosts("https://board", (plain, named)).workspaces == {"named": Workspace(place="work")}
