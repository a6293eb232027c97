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


def test_an_adopted_runner_of_a_pool_for_job_containers_has_its_workspaces_in_its_work_folder(
    make_agent, make_home, server, until
):
    """There a job container sees them (R92). Without the agent there are none: the folder there is the agent's."""
    home = make_home()
    work = home.path / "_work"
    files = {"GITHUB_ENV": str(home.path / "set_env"), "RUNNER_TEMP": str(work / "_temp")}
    job = {**JOB, **files, "GITHUB_WORKSPACE": "/__w/app/app"}
    home.env.write_text("".join(f"{name}={value}\n" for name, value in job.items()))
    (home.path / "set_env").touch()
    (work / "_temp").mkdir(parents=True)
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
    home.begin_job()
    told = parse_pairs((home.path / "set_env").read_text(), command="env")
    path = Path(told["ANDON_WORKSPACE"])
    assert path.parent == work / "_andon" and (path / "target").is_dir()
    assert told["CARGO_TARGET_DIR"] == f"/__w/_andon/{path.name}/target"
    home.finish_job()
    server.until(lambda: [one.state for one in server.leases] == ["dead"], "dead with its job")
    agent.end(signal.SIGKILL)
    (home.path / "set_env").write_text("")
    home.begin_job()
    said = (home.path / "_diag/hook").read_text().splitlines()[-1]
    assert said.startswith("Andon: no workspace for this job: ") and "does not know the slot" in said
    assert (home.path / "set_env").read_text() == "" and [each.name for each in (work / "_andon").iterdir()] == [
        path.name
    ]
    home.finish_job()
