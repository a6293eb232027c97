"""Adopted runners under a living agent: their listeners are started, stopped and left alone (R37)."""

import os
import pwd
import signal
import stat
import subprocess
from pathlib import Path

import msgspec
import pytest

from andon.agent.adoption.listener_stop import interrupt
from andon.agent.adoption.processes import folder_of, look_at_folders
from andon.agent.adoption.records import Records
from andon.agent.adoption.supervision import AdoptedRunners
from andon.agent.timing import Timing
from andon.cli.main import main
from andon.runtime.logging import logger
from tests.support.runner_folders import wait_until

QUICK = {"look": 0.1, "first_restart": 0.05, "longest_restart": 0.2}


def adopt(agent, *words):
    return main(["agent", "adopt", "--config", str(agent.config), *map(str, words)])


def adopted(make_agent, home, *, running=True, **environ):
    agent = make_agent("exit 0", timing=QUICK)
    if running:
        home.start()
    assert adopt(agent, home.path) == 0
    agent.environ = environ
    agent.start()
    return agent


def test_the_restart_that_adoption_needs_waits_for_the_job(make_agent, make_home, server):
    home = make_home()
    home.start()
    home.begin_job()
    agent = make_agent("exit 0", timing=QUICK)
    assert adopt(agent, home.path) == 0
    agent.start()
    told = server.until_slot(1000, "running")
    assert (told.kind, told.runner, told.pool, told.claim) == ("adopted", "old-1", "", None)
    assert len(home.listeners()) == 1
    home.finish_job()
    wait_until(lambda: len(home.listeners()) == 2, "it is started again")
    assert home.said()[:4] == [home.said()[0], "job", "done", "interrupted"], "not before the job was over"
    assert home.said()[0].endswith("none") and "/adopted/" in home.said()[-1]
    server.until(lambda: server.slots[1000].note is None, "nothing left to do")
    server.until_slot(1000, "idle")
    home.begin_job()
    server.until_slot(1000, "running")
    home.finish_job()

    assert adopt(agent, "--undo", home.path) == 0
    wait_until(lambda: len(home.listeners()) == 3, "it is started with the old environment")
    assert home.said()[-1].endswith("none")
    server.until(lambda: 1000 not in server.slots, "the slot is gone")
    wait_until(lambda: not list((agent.root.path / "adopted").glob("*/adoption.json")), "nothing is kept")


def test_the_end_of_a_job_is_used_at_once(make_agent, make_home, server):
    # On a busy runner the next job is seconds away: whoever only looked now and then would never find it idle.
    home = make_home()
    home.start()
    home.begin_job()
    agent = make_agent("exit 0", timing={"look": 600.0})
    assert adopt(agent, home.path) == 0
    agent.start()
    server.until_slot(1000, "running")
    home.finish_job()
    wait_until(lambda: "interrupted" in home.said(), "its listener is stopped")
    wait_until(lambda: len(home.listeners()) == 2, "and started again")


def test_a_dead_listener_is_started_again_but_never_while_its_job_lives(make_agent, make_home, server):
    home, other = make_home(), make_home("old-2")
    agent = adopted(make_agent, home, running=False)
    told = server.until_slot(1000, "unavailable")
    assert told.note is not None and "has not run since" in told.note
    other.start()
    assert adopt(agent, other.path) == 0
    home.start()
    server.until_slot(1000, "idle")
    wait_until(lambda: len(other.listeners()) == 2, "the restart that adoption needs")
    home.begin_job()
    home.interrupt(signal.SIGKILL)
    server.until(lambda: "is gone" in (server.slots[1000].note or ""), "the listener's end is seen")
    assert server.slots[1000].state == "running"
    # As many looks as it takes to start another one.
    os.kill(other.listeners()[-1], signal.SIGKILL)
    wait_until(lambda: len(other.listeners()) == 3, "the idle one is started again")
    assert len(home.listeners()) == 1
    home.finish_job()
    wait_until(lambda: len(home.listeners()) == 2, "it is started again")
    server.until_slot(1000, "idle")
    agent.end(signal.SIGKILL)
    assert look_at_folders(((home.path, os.getuid()),))[home.path].listeners, "it outlives the agent"
    os.kill(home.listeners()[-1], signal.SIGKILL)
    agent.start()
    wait_until(lambda: len(home.listeners()) == 3, "an agent that was away starts it, too")


def test_a_slot_that_is_not_open_has_its_listener_stopped_when_idle(make_agent, make_home, server):
    home = make_home()
    agent = adopted(make_agent, home)
    wait_until(lambda: len(home.listeners()) == 2, "the restart that adoption needs")
    home.begin_job()
    server.until_slot(1000, "running")
    server.in_its_words = lambda answer: {**answer, "intent": {"host": "open", "slots": {"1000": "cordoned"}}}
    server.resync = True
    server.tell()
    wait_until(lambda: held(agent), "the agent knows it")
    assert server.slots[1000].state == "running" and "interrupted" not in home.said()[2:]
    home.finish_job()
    server.until_slot(1000, "unavailable")
    assert home.said()[-1] == "interrupted"
    agent.end(signal.SIGKILL)
    server.refusing, asked = 503, len(server.requests)
    agent.start()
    server.until(lambda: len(server.requests) > asked + 3, "the agent asks in vain")
    assert len(home.listeners()) == 2, "it stays stopped without the control plane"
    server.refusing = None
    server.in_its_words = lambda answer: answer
    server.resync = True
    server.tell()
    wait_until(lambda: len(home.listeners()) == 3, "released")
    server.until_slot(1000, "idle")

    server.in_its_words = lambda answer: {
        **answer,
        "intent": {"host": "cordoned", "slots": {}},
        "policy": {"held_by_labels": [1000]},
    }
    server.resync = True
    server.tell()
    server.until(lambda: not server.resync, "it was told")
    server.until_slot(1000, "idle")
    assert len(home.listeners()) == 3 and home.said()[-1].startswith("listening"), "its labels hold it"


def held(agent):
    return any("cordoned" in path.read_text() for path in (agent.root.path / "adopted").glob("*/seen.json"))


def stub_systemctl(folder, home, working):
    """A systemctl that knows one unit, and starts it by the folder's own script."""
    place = folder / "bin"
    place.mkdir()
    calls = folder / "calls"
    program = place / "systemctl"
    program.write_text(
        f'#!/bin/sh\necho "$*" >> {calls}\n'
        f'case "$1" in show) echo LoadState=loaded; echo WorkingDirectory={working} ;;\n'
        f"start) setsid {home.path}/run.sh >/dev/null 2>&1 & ;; esac\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return calls


@pytest.mark.parametrize("own", [True, False])
def test_its_systemd_unit_starts_it_where_it_is_its_own(make_agent, make_home, server, tmp_path, own):
    if os.geteuid() != 0:
        pytest.skip("needs root: only root starts units")
    home = make_home()
    (home.path / ".service").write_text("actions.runner.acme-app.old-1.service\n")
    calls = stub_systemctl(tmp_path, home, home.path if own else Path("/etc"))
    adopted(make_agent, home, PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    wait_until(lambda: len(home.listeners()) == 2, "it is started again")
    started = "start --no-block -- actions.runner.acme-app.old-1.service" in calls.read_text()
    assert started == own, "a job can write into .service the name of any unit"
    server.until_slot(1000, "idle")


def test_run_sh_becomes_the_folders_owner(make_agent, make_home, server, tmp_path_factory):
    if os.geteuid() != 0:
        pytest.skip("needs root, to give the folder to another user")
    home = make_home()
    for path in (home.path, *home.path.rglob("*")):
        os.chown(path, 65534, pwd.getpwuid(65534).pw_gid)
    for folder in (home.path, *home.path.parents):
        if folder.is_relative_to(tmp_path_factory.getbasetemp().parent.parent) and not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
    home.start()
    os.chown(home.path / "_diag" / "said", 65534, -1)
    agent = make_agent("exit 0", timing=QUICK)
    assert adopt(agent, home.path) == 0
    agent.start()
    wait_until(lambda: len(home.listeners()) == 2, "it is started again")
    assert Path(f"/proc/{home.listeners()[-1]}").stat().st_uid == 65534


def test_a_folder_becomes_a_jit_slot_at_its_next_idle_moment(make_agent, make_home, server):
    home = make_home()
    home.start()
    home.begin_job()
    agent = make_agent("exit 0", timing=QUICK)
    agent.start()
    assert adopt(agent, "--to-jit", home.path) == 0
    server.until_slot(1000, "running")
    assert server.slots[1000].kind == "adopted"
    home.finish_job()
    server.until(lambda: server.slots[1000].kind == "jit", "it is a JIT slot")
    told = server.until_slot(1000, "idle")
    assert (told.pool, told.runner) == ("p", None)
    assert home.said()[1:] == ["job", "done", "interrupted"]
    agent.end(signal.SIGKILL)
    agent.start()
    server.until(lambda: server.requests[-1].slots is not None, "the first report")
    assert server.slots[1000].kind == "jit", "no report leaves it out"
    server.claim("c1", slot=1000)
    server.until_slot(1000, "starting")
    clone = agent.root.claim(1000, "c1") / "runner"
    wait_until(lambda: (clone / "_diag").exists() or (clone / "run.sh").exists(), "its own copy")
    assert not (clone / ".runner").exists()
    assert adopt(agent, "--undo", home.path) == 0
    assert not home.env.exists() and len(home.listeners()) == 1
    script = (clone / ".env").read_text().splitlines()[0].partition("=")[2]
    assert Path(script).exists(), "the clone's job calls it yet"
    server.stop("c1")
    server.until_end("c1")
    server.until(lambda: 1000 not in server.slots, "the slot is gone")
    wait_until(lambda: not Path(script).exists(), "nothing is kept")


def test_a_folder_that_is_adopted_under_a_living_agent_is_served_at_once(make_agent, make_home, server):
    """Its hooks may come while the agent is away again, and its pool's settings are those of its workspaces."""
    job = b"GITHUB_REPOSITORY=o/r\nGITHUB_RUN_ID=7\nGITHUB_RUN_ATTEMPT=1\nGITHUB_JOB=build\n"
    home = make_home(env=job)
    (home.path / "env").touch()
    home.env.write_bytes(job + f"RUNNER_NAME=old-1\nGITHUB_ENV={home.path}/env\n".encode())
    pool = {"place": "root", "export": {"CARGO_HOME": "caches/cargo"}}
    server.policy = {"workspaces": {"of-its-labels": pool}, "slot_pools": {"1000": "of-its-labels"}}
    agent = make_agent("exit 0", timing=QUICK)
    agent.start()
    server.until(lambda: server.slots, "the first report")
    server.tell()
    home.start()
    assert adopt(agent, home.path) == 0
    wait_until(lambda: len(home.listeners()) == 2, "the restart that adoption needs")
    plan = agent.root.hooks / "plan.json"
    wait_until(lambda: b"CARGO_HOME" in plan.read_bytes(), "the plan knows its pool's settings")
    home.begin_job()
    given = (home.path / "env").read_text()
    assert f"{agent.root.runs}/1000/" in given and "caches/cargo" in given, (home.path / "_diag" / "hook").read_text()
    home.finish_job()
    agent.end(signal.SIGKILL)
    (home.path / "env").write_text("")
    home.begin_job()
    given = (home.path / "env").read_text()
    assert f"{agent.root.standalone}/1000/" in given and "caches/cargo" in given
    home.finish_job()


def test_the_pool_of_a_jit_slot_must_be_told(make_agent, make_home, capsys):
    home, agent = make_home(), make_agent("exit 0")
    text = agent.config.read_text()
    agent.config.write_text(text + '[[agent.slots]]\npool = "q"\ncommand = ["x"]\n')
    assert adopt(agent, "--to-jit", home.path) == 2
    assert "of which pool? Give --pool NAME; known are: p, q." in capsys.readouterr().err
    assert adopt(agent, "--to-jit", "--pool", "q", home.path) == 0
    assert not home.listeners()


def test_an_interrupt_is_held_back_when_a_job_began_since_the_look(make_agent, make_home):
    home, agent = make_home(), make_agent("exit 0")
    home.start()
    assert adopt(agent, home.path) == 0
    records = Records(agent.root)
    (adoption,) = (records.read(key) for key in records.all_keys())
    sight = look_at_folders(((home.path, os.getuid()),))[home.path]
    home.begin_job()
    assert not interrupt(adoption, sight.listeners[0])
    home.finish_job()
    wait_until(lambda: not look_at_folders(((home.path, os.getuid()),))[home.path].busy, "the job is over")
    assert interrupt(adoption, sight.listeners[0])
    home.reap()
    assert home.said()[1:] == ["job", "done", "interrupted"]


def test_status_says_which_rules_act_on_an_adopted_slot(make_agent, make_home, server, capsys):
    home = make_home()
    home.start()
    home.begin_job()
    agent = make_agent("exit 0", timing=QUICK)
    assert adopt(agent, home.path) == 0
    agent.start()
    server.until_slot(1000, "running")
    capsys.readouterr()
    main(["agent", "status", "--config", str(agent.config)])
    said = capsys.readouterr().out
    assert "1000  adopted  running" in said
    assert "slot 1000 (old-1): workspace does not act: not before its listener has been started again" in said
    assert "limit its runner group" in said
    main(["agent", "status", "--json", "--config", str(agent.config)])
    (told,) = msgspec.json.decode(capsys.readouterr().out)["adopted"]
    acting = {rule["id"]: rule["acts"] for rule in told["rules"]}
    assert (acting["workspace"], acting["restart"], acting["order"]) == (False, True, False)
    home.finish_job()


def test_hooks_find_their_runner_also_when_its_listener_died(make_agent, make_home, clock):
    home, agent = make_home(), make_agent("exit 0")
    home.start()
    assert adopt(agent, home.path) == 0
    runners = AdoptedRunners(
        Records(agent.root),
        boot_id="b",
        cgroup_base=None,
        environ={},
        changed=lambda: None,
        jit=lambda slots: None,
        chance=lambda: 0.5,
        clock=clock,
        timing=Timing(),
        log=logger("test"),
    )
    home.begin_job()
    (worker,) = look_at_folders(((home.path, os.getuid()),))[home.path].workers
    ((slot, listener),) = runners.runners()
    assert (slot.slot, slot.runner, slot.folder, slot.work) == (1000, "old-1", home.path, home.path / "_work")
    assert listener.pid == home.listeners()[-1]
    assert runners.slot_of(worker.pid) == slot and runners.slot_of(os.getpid()) is None
    home.interrupt(signal.SIGKILL)
    assert runners.runners() == ((slot, worker),)
    ((number, user),) = [(each.number, each.user) for each in runners.as_slots()]
    assert (number, user) == (1000, None), "its owner is who we are"


def test_a_process_of_a_runner_is_told_by_its_folder(make_home):
    one, two = make_home(), make_home("old-2")
    two.start()
    two.begin_job()
    seen = look_at_folders(((two.path, os.getuid()),))[two.path]
    for process in (*seen.listeners, *seen.workers):
        assert folder_of(process.pid, (one.path, two.path)) == two.path
    assert folder_of(os.getpid(), (one.path, two.path)) is None


def test_a_job_that_runs_another_runner_below_its_work_folder_is_none_of_it(make_home):
    outer, inner = make_home(), make_home("old-1/_work/app")
    outer.start()
    inner.start()
    inner.begin_job()
    seen = look_at_folders(((outer.path, os.getuid()), (inner.path, os.getuid())))
    assert [each.pid for each in seen[outer.path].listeners] == outer.listeners()
    assert not seen[outer.path].busy and seen[inner.path].busy


def test_a_process_that_cannot_be_looked_at_counts_as_a_job(make_home):
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    home = make_home()
    # Its name says nothing of a folder, and its links are for its own user and root.
    hidden = subprocess.Popen(["bash", "-c", "exec -a Runner.Worker sleep 1000"], cwd=home.path)
    try:
        wait_until(lambda: b"Runner.Worker\0" in Path(f"/proc/{hidden.pid}/cmdline").read_bytes(), "it runs")
        assert look_at_folders(((home.path, 0),))[home.path].workers
        reading, writing = os.pipe()
        if not os.fork():
            try:
                os.setgid(65534)
                os.setuid(65534)
                seen = look_at_folders(((home.path, 0),))[home.path]
                os.write(writing, f"{seen.busy} {seen.unclear}".encode())
            finally:
                os._exit(0)
        os.wait()
        os.close(writing)
        with os.fdopen(reading) as said:
            assert said.read() == f"True the folder of the process {hidden.pid} (Runner.Worker) cannot be read"
    finally:
        hidden.kill()
        hidden.wait()


def test_the_looks_are_cheap(make_home):
    homes = [make_home(f"old-{number}") for number in range(16)]
    folders = [(home.path, os.getuid()) for home in homes]
    look_at_folders(folders)
    began = os.times()
    for _ in range(20):
        look_at_folders(folders)
    spent = os.times()
    each = (spent.user + spent.system - began.user - began.system) / 20
    # A look every five seconds: 25 ms would be half a percent of a core, which is the whole agent's.
    assert each < 0.025 * (1 + len(list(Path("/proc").glob("[0-9]*"))) / 300), f"{each * 1000:.1f} ms"
