"""What `make proof` takes for unchanged: a step's word stands only while everything that it reads is as it was."""

from tests import proof


def test_what_the_steps_read_is_there():
    whole = proof.content()
    for within in (proof.READ_BY_BENCH, proof.reads("seasons 1 to 20")):
        for name in within:
            # A path that git does not know would be left out without a word.
            assert proof.content((name,)) != proof.content(("no-such-folder",)), name
        assert proof.content(within) != whole


def test_only_seasons_and_benches_read_less_than_all():
    narrow = [name for name, _ in proof.STEPS if proof.reads(name)]
    assert narrow and all(name.startswith(("seasons ", "bench ", "API cost")) for name in narrow)
    assert all("tests/seasons" in proof.reads(name) for name in narrow if name.startswith("seasons "))


def test_a_season_reads_what_it_plays_and_nothing_of_a_real_host():
    read = proof.reads("seasons 1 to 20")
    for name in ("loops/outbox.py", "rules/dispatch.py", "agent/plan.py", "sim/sandbox/github.py", "web/agent_api.py"):
        assert f"src/andon/{name}" in read, name
    assert not [name for name in read if "agent/workspaces" in name or "sim/drills" in name]
