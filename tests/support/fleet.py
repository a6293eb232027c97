"""A whole fleet of real processes for a test: sandbox GitHub, control plane, agents, runners.

Everything listens on loopback with ports of its own choosing. What was started is ended: agents
and runners outlive their parents by design, so their processes are ended by name of their folder.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from andon.agent.cgroups import cgroup_base, remove_cgroup
from andon.agent.layout import Root
from tests.support.contract_watch import check_recorded
from tests.support.low_marks import LOW_MARKS

LABELS = ["self-hosted", "linux", "x64"]
SECRET = "a-secret-of-the-test"


def wait_for(what: str, holds: Callable[[], Any], *, seconds: float = 60.0, every: float = 0.05) -> Any:
    """Polls a condition of another process, for which there is no signal, up to a deadline."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        found = holds()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        pause.wait(every)


def call(method: str, url: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
    """JSON over HTTP; gives the decoded answer. Raises urllib's errors."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        url, data=data, method=method, headers={"content-type": "application/json", **(headers or {})}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        text = answer.read()
    return json.loads(text) if text else None


@dataclass
class Program:
    """One command of ours that says when it is ready."""

    name: str
    arguments: list[str]
    folder: Path
    process: subprocess.Popen[str] | None = None
    ready: dict[str, Any] = field(default_factory=dict)

    def start(self) -> dict[str, Any]:
        log = (self.folder / f"{self.name}.log").open("a")
        with log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "andon", *self.arguments],
                cwd=self.folder,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"{self.name} did not start: {(self.folder / f'{self.name}.log').read_text()[-3000:]}")
        self.ready = json.loads(line)
        return self.ready

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        code = self.process.wait(timeout=20)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code


class Stage:
    """Starts and ends the programs of one fleet below one folder."""

    def __init__(
        self,
        folder: Path,
        *,
        hosts: int = 2,
        slots: int = 4,
        extra: str = "",
        runner: list[str] | None = None,
        database: str = "sqlite:///andon.db",
        replicas: int = 1,
        marks: str = LOW_MARKS,
    ) -> None:
        self._marks = marks
        self.folder = folder
        self.hosts = [f"host-{chr(ord('a') + number)}" for number in range(hosts)]
        self._slots, self._extra, self._database = slots, extra, database
        self._runner = runner or [sys.executable, "-m", "andon.sim.runner"]
        self.recorded = folder / "github-calls.jsonl"
        recording = ["--record", str(self.recorded)]
        self.sandbox = Program("sandbox", ["sandbox", "serve", "--listen", "127.0.0.1:0", *recording], folder)
        self.controls = [
            Program(f"control-{number}", ["up", "--config", f"andon-{number}.toml"], folder)
            for number in range(replicas)
        ]
        """Control planes on one database and in one data folder: they share the secrets' files."""
        self.agents: dict[str, Program] = {}
        self._listen = ["127.0.0.1:0"] * replicas

    @property
    def control(self) -> Program:
        """The first control plane: hooks deliver to it."""
        return self.controls[0]

    @property
    def url(self) -> str:
        return str(self.control.ready["url"])

    def url_for(self, host: str) -> str:
        """The control plane that this host's agent knows; they take turns."""
        return str(self.controls[self.hosts.index(host) % len(self.controls)].ready["url"])

    @property
    def github(self) -> str:
        return str(self.sandbox.ready["url"])

    def start(self) -> None:
        self.sandbox.start()
        (self.folder / "webhook.secret").write_text(SECRET)
        (self.folder / "github.token").write_text("a-token")
        for number in range(len(self.controls)):
            self.start_control(number)
        self.hook("acme/app")
        for name in self.hosts:
            self.start_agent(name)
        wait_for("all hosts report", self._all_report, seconds=30)

    def start_control(self, number: int = 0) -> None:
        (self.folder / f"andon-{number}.toml").write_text(
            f"""
[server]
listen = "{self._listen[number]}"
database = "{self._database}"
[github]
api_url = "{self.github}"
token_file = "github.token"
sweep_seconds = 3
[[owner]]
login = "acme"
repositories = ["acme/app"]
{self._extra}
[[pool]]
name = "linux"
labels = {json.dumps(LABELS)}
"""
        )
        self.controls[number].start()
        # The same address after a restart: agents and hooks know only this one.
        self._listen[number] = str(self.controls[number].ready["url"]).removeprefix("http://")

    def start_agent(self, name: str) -> None:
        home = self.folder / name
        home.mkdir(exist_ok=True)
        (home / "agent.toml").write_text(
            f"""
[server]
agent_token_file = "{self.folder / "agent.token"}"
[agent]
name = "{name}"
server = "{self.url_for(name)}"
root = "root"
[[agent.slots]]
pool = "linux"
count = {self._slots}
command = {json.dumps(self._runner)}
{self._marks}"""
        )
        program = Program("agent", ["agent", "run", "--config", "agent.toml"], home)
        program.start()
        self.agents[name] = program

    def hook(self, repository: str) -> None:
        config = {"url": f"{self.url}/webhooks/github", "content_type": "json", "secret": SECRET}
        self.ask_github(
            "POST",
            f"/repos/{repository}/hooks",
            {"name": "web", "active": True, "events": ["workflow_job", "workflow_run"], "config": config},
        )

    def ask_github(self, method: str, path: str, body: Any = None) -> Any:
        return call(method, self.github + path, body, {"authorization": "Bearer a-token"})

    def ask(self, path: str) -> Any:
        return call("GET", self.url + path)

    def run(self, jobs: list[dict[str, Any]], **more: Any) -> list[int]:
        body = {"repository": "acme/app", "jobs": jobs, "event": "push", "branch": "main", **more}
        return list(self.ask_github("POST", "/_sandbox/runs", body)["jobs"])

    def learn_how_little_jobs_write(self) -> None:
        """One short job: a pool of which nothing is known is held back by a guess on a small disk (R51)."""
        first = self.run([{"name": "first", "labels": LABELS, "steps": [{"run": "true"}]}])
        wait_for("the first job is over", lambda: not self.unfinished(first))

        def told() -> bool:
            disks = self.ask("/api/v1/disk")["items"]
            return any(gone["bytes"] is not None for disk in disks for gone in disk["deletions"])

        wait_for("what it wrote is told", told)

    def truth(self) -> dict[str, Any]:
        return self.ask_github("GET", "/_sandbox/truth")

    def unfinished(self, job_ids: list[int], url: str | None = None) -> list[int]:
        """Those of the jobs that the control plane (or the one at `url`) does not know as completed."""
        done: set[int] = set()
        cursor = ""
        while True:
            page = call("GET", f"{url or self.url}/api/v1/jobs?state=completed&limit=500{cursor}")
            done |= {job["id"] for job in page["items"]}
            if page["next"] is None:
                return [job_id for job_id in job_ids if job_id not in done]
            cursor = f"&cursor={page['next']}"

    def _all_report(self) -> bool:
        hosts = self.ask("/api/v1/hosts")["items"]
        return sum(1 for host in hosts if host["observed"] == "reporting" and host["slots"]) == len(self.hosts)

    def end(self) -> None:
        for program in (*self.agents.values(), *self.controls, self.sandbox):
            if program.process is not None and program.process.poll() is None:
                program.end()
        self.end_runners()

    def runner_processes(self) -> list[int]:
        """Shims, runners and their jobs: every process that works below the agents' roots."""
        found: list[int] = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                place = str((entry / "cwd").readlink())
                command = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if str(self.folder) in place or str(self.folder) in command:
                found.append(int(entry.name))
        return found

    def end_runners(self) -> None:
        for pid in self.runner_processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        wait_for("the runners are gone", lambda: not self.runner_processes(), seconds=10)
        for name in self.hosts:
            # Their agent would have taken the cgroups away; it was ended before them.
            base = cgroup_base(Root(path=self.folder / name / "root"))
            for cgroup in sorted(base.glob("*/")) if base is not None else []:
                wait_for(f"{cgroup} is empty", lambda cgroup=cgroup: remove_cgroup(str(cgroup)), seconds=10)
            if base is not None and base.exists():
                base.rmdir()


@contextmanager
def a_fleet(folder: Path, **options: Any) -> Iterator[Stage]:
    stage = Stage(folder, **options)
    try:
        stage.start()
        yield stage
    finally:
        stage.end()
    check_recorded(stage.recorded)
