"""Jobs of an adopted runner get what their pool exports: the agent hears which pool that is (R37, R91, R94)."""

import signal
from pathlib import Path

import msgspec

from andon.cli.main import main
from andon.sim.runner.file_commands import parse_pairs

JOB = {
    "GITHUB_REPOSITORY": "acme/app",
    "GITHUB_RUN_ID": "7",
    "GITHUB_RUN_ATTEMPT": "1",
    "GITHUB_JOB": "build",
    "GITHUB_EVENT_NAME": "push",
    "RUNNER_NAME": "old-1",
}
POLICY = {
    "public_url": "https://board.example",
    "workspaces": {"linux": {"place": "root", "export": {"CARGO_TARGET_DIR": "target", "CARGO_HOME": "caches/cargo"}}},
    "slot_pools": {"1000": "linux"},
}


def test_a_job_of_an_adopted_runner_gets_the_exports_of_the_pool_that_its_labels_name(
    make_agent, make_home, server, until
):
    home = make_home()
    job = {**JOB, "GITHUB_ENV": str(home.path / "set_env")}
    home.env.write_text("".join(f"{name}={value}\n" for name, value in job.items()))
    (home.path / "set_env").touch()
    home.start()
    server.policy = POLICY
    agent = make_agent("exit 0", timing={"look": 0.1})
    assert main(["agent", "adopt", "--config", str(agent.config), str(home.path)]) == 0
    agent.start()
    until(lambda: len(home.listeners()) == 2, "it was started again, with our hooks")
    server.until_slot(1000, "idle")
    plan = agent.root.hooks / "plan.json"

    def known() -> bool:
        # Said again each time: this control plane loses an answer that the agent gave up waiting for.
        server.tell()
        return bool(msgspec.json.decode(plan.read_bytes())["slots"]["1000"]["export"])

    until(known, "hooks know it too, for when nobody answers")
    home.begin_job()
    told = parse_pairs((home.path / "set_env").read_text(), command="env")
    path = Path(told["ANDON_WORKSPACE"])
    assert path.parent == agent.root.runs / "1000" and told["ANDON_SLOT"] == "1000"
    assert told["CARGO_TARGET_DIR"] == f"{path}/target" and Path(told["CARGO_HOME"]).is_dir()
    server.until(lambda: [(one.slot, one.state) for one in server.leases] == [(1000, "leased")], "leased")
    home.finish_job()
    server.until(lambda: [one.state for one in server.leases] == ["dead"], "dead with its job")


def test_an_adopted_runner_of_a_pool_for_job_containers_gets_no_path_and_a_reason(
    make_agent, make_home, server, until, tmp_path
):
    """Nothing is made below its work folder, by nobody: what was made there nobody would find again."""
    home = make_home()
    job = {**JOB, "GITHUB_ENV": str(home.path / "set_env"), "RUNNER_TEMP": str(home.path / "_work/_temp")}
    home.env.write_text("".join(f"{name}={value}\n" for name, value in job.items()))
    (home.path / "set_env").touch()
    (home.path / "_work/_temp").mkdir(parents=True)
    home.start()
    server.policy = {**POLICY, "workspaces": {"linux": {"place": "work", "export": {"CARGO_TARGET_DIR": "target"}}}}
    agent = make_agent("exit 0", timing={"look": 0.1})
    assert main(["agent", "adopt", "--config", str(agent.config), str(home.path)]) == 0
    agent.start()
    until(lambda: len(home.listeners()) == 2, "it was started again, with our hooks")

    def known() -> bool:
        server.tell()
        return "1000" not in msgspec.json.decode((agent.root.hooks / "plan.json").read_bytes())["slots"]

    until(known, "hooks know it too, for when nobody answers")
    for ask_alone in (False, True):
        if ask_alone:
            agent.end(signal.SIGKILL)
        home.begin_job()
        home.finish_job()
    said = (home.path / "_diag/hook").read_text().splitlines()
    assert len(said) == 2 and all(line.startswith("Andon: no workspace for this job: ") for line in said), said
    assert "Use place = root" in said[0] and "does not know the slot" in said[1]
    assert (home.path / "set_env").read_text() == "" and not (home.path / "_work/_andon").exists()
