"""A real agent with an adopted runner that has a job, and with a cache beyond its cap: one is left, the other freed."""

import json
import os
from pathlib import Path

import pytest

from andon.cli.main import main

MIB = 1 << 20


def test_a_live_adopted_runner_keeps_its_work_folder_while_a_cache_goes_down_to_its_cap(
    make_agent, make_home, server, until, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, cache = make_home(), tmp_path / "npm"
    cache.mkdir()
    for name, used_at in (("old", 1_000_000_000), ("new", 1_700_000_000)):
        (cache / name).write_bytes(b"x" * MIB)
        os.utime(cache / name, (used_at, used_at))
    work = home.path / "_work"
    (work / "dump.sql").write_text("mine")
    before = sorted(str(each) for each in work.rglob("*"))
    home.start()
    server.policy = {"public_url": "https://board.example", "guard": "act"}
    declared = f'[{{path = "{cache}", kind = "lru", cap = "1.5 MiB"}}]'
    # Every mark is passed: whatever may go does.
    marks = {"soft_percent": 100, "hard_percent": 99.9, "emergency_percent": 0.001}
    agent = make_agent("exit 0", timing={"look": 0.1}, marks={**marks, "checkout_days": 6, "cache": declared})
    assert main(["agent", "adopt", "--config", str(agent.config), str(home.path)]) == 0
    agent.start()
    until(lambda: len(home.listeners()) == 2, "it was started again, with our hooks")
    home.begin_job()
    until(lambda: not (cache / "old").exists(), "the cache is down to its cap")
    assert (cache / "new").exists()
    capsys.readouterr()
    where = ["--config", str(agent.config), "--data", str(agent.folder), "--json"]
    assert main(["disk", "who", str(cache / "old"), *where]) == 0
    (touched,) = json.loads(capsys.readouterr().out)["items"]
    assert touched["deletion"]["actor"] == "agent:guard" and "larger than its cap" in touched["deletion"]["reason"]
    assert main(["disk", "plan", *where]) == 1
    plan = json.loads(capsys.readouterr().out)
    here = next(one for one in plan["filesystems"] if str(work / "dump.sql") in one["unknown"])
    classes = {one["class"]: one["count"] for one in here["classes"]}
    assert classes["cache"] >= 7 and not any(str(work) in one["path"] for one in here["going"])
    main(["disk", "sweep", *where])
    capsys.readouterr()
    left = {str(each) for each in work.rglob("*")}
    assert left >= set(before), "neither a look nor a sweep took anything of a runner that has a job"
    home.finish_job()
