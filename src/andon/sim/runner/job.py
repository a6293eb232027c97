"""One job from "Set up job" to "Complete job": hooks, steps, log and conclusion.

The order and the words are the official worker's: a log made here is read by the same rules as a
real one.
"""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from andon.runtime.errors import AndonError
from andon.sim.runner.job_log import JobLog
from andon.sim.runner.job_steps import JobParts, JobSteps
from andon.sim.runner.messages import VERSION, JobOrder
from andon.sim.runner.processes import end, tracked
from andon.sim.runner.reporter import Reporter
from andon.sim.runner.scripts import BadScript, hook_script
from andon.sim.runner.step_process import Stop
from andon.sim.runner.step_run import StepRun
from andon.sim.runner.step_table import StepTable, Title
from andon.sim.runner.timings import Timings
from andon.sim.runner.variables import Places, default_variables, places

HOOK_STARTED = "ACTIONS_RUNNER_HOOK_JOB_STARTED"
HOOK_COMPLETED = "ACTIONS_RUNNER_HOOK_JOB_COMPLETED"


class JobRun:
    """Runs the job of `order` below the folder `root`; `environment` is what steps inherit."""

    def __init__(
        self,
        order: JobOrder,
        steps: JobSteps,
        *,
        root: Path,
        environment: Mapping[str, str],
        log: JobLog,
        stop: Stop,
        reporter: Reporter,
        timings: Timings,
    ) -> None:
        self._order = order
        self._job = order["job"]
        self._steps = steps
        self._root = root
        self._environment = environment
        self._log = log
        self._stop = stop
        self._timings = timings
        self._failed = False
        # The session is new for every runner and the job for every session; and with the pid, since sandboxes
        # beside each other may hand out the same ones, and what carries another job's id is not ours to end.
        self._tracking_id = f"github_{order['session']}-{self._job['id']}-{os.getpid()}"
        self._hooks = {name: environment[name] for name in (HOOK_STARTED, HOOK_COMPLETED) if environment.get(name)}
        self.table = StepTable(self._titles(), reporter)

    def run(self) -> str:
        """Runs everything and returns the conclusion: success, failure or cancelled."""
        self.table.start("setup")
        try:
            where = places(self._root, self._order["work_folder"], self._job["repository"])
            self._set_up(where)
        except (AndonError, OSError) as error:
            self._log.error(str(error))
            self.table.end("setup", "failure")
            self.table.skip_rest()
            return "failure"
        self.table.end("setup", "success", show=False)
        steps = StepRun(
            environment={**self._environment, **self._job["env"]},
            defaults=default_variables(
                self._job, where, runner_name=self._order["runner_name"], tracking_id=self._tracking_id
            ),
            where=where,
            log=self._log,
            stop=self._stop,
            timings=self._timings,
        )
        if HOOK_STARTED in self._hooks:
            self._hook(steps, HOOK_STARTED, "started")
        parts = JobParts(steps, self.table, self._log, self._stop, where, self._timings)
        self._failed = self._steps.run(parts, failed=self._failed)
        # The official runner skips this hook when it is stopped itself (actions/runner#2595).
        if HOOK_COMPLETED in self._hooks and self._stop.reason != "shutdown":
            self._hook(steps, HOOK_COMPLETED, "completed")
        self.table.start("complete")
        self._clean_up(where)
        self.table.end("complete", "success", show=False)
        self.table.skip_rest()
        if self._stop.reason is not None:
            return "cancelled"
        return "failure" if self._failed else "success"

    def _titles(self) -> list[Title]:
        titles = [Title("setup", "Set up job")]
        if HOOK_STARTED in self._hooks:
            titles.append(Title("started", "Set up runner"))
        titles += self._steps.titles()
        if HOOK_COMPLETED in self._hooks:
            titles.append(Title("completed", "Complete runner"))
        return [*titles, Title("complete", "Complete job")]

    def _set_up(self, where: Places) -> None:
        self._log.line(f"Current runner version: '{VERSION}'")
        self._log.line(f"Runner name: '{self._order['runner_name']}'")
        self._log.line("Runner group name: 'Default'")
        self._log.line(f"Machine name: '{os.uname().nodename}'")
        self._log.line("##[group]Operating System\nLinux\n##[endgroup]")
        self._log.line("Secret source: Actions\nPrepare workflow directory")
        where.temp.mkdir(parents=True, exist_ok=True)
        empty(where.temp)
        where.workspace.mkdir(parents=True, exist_ok=True)
        where.tool_cache.mkdir(exist_ok=True)
        where.event_file.parent.mkdir()
        where.event_file.write_text(json.dumps(self._job["event_payload"]), encoding="utf-8")
        self._log.line("Prepare all required actions")
        self._log.line(f"Complete job name: {self._job['name']}")

    def _hook(self, steps: StepRun, variable: str, which: str) -> None:
        """A hook has no time limit and no cancel of its own; its failure is the job's."""
        self._log.line(f"A job {which} hook has been configured by the self-hosted runner administrator")
        try:
            script = hook_script(Path(self._hooks[variable]))
        except BadScript as error:
            self.table.start(which)
            conclusion = self._refuse(str(error))
        else:
            conclusion = steps.run(script, name=which, on_start=lambda: self.table.start(which))
        self._failed |= conclusion == "failure"
        self.table.end(which, conclusion)

    def _refuse(self, reason: str) -> str:
        self._log.error(reason)
        return "failure"

    def _clean_up(self, where: Places) -> None:
        self._log.line("Cleaning up orphan processes")
        # A fork may be under way while the table is read, so it is read until nothing new is found.
        seen: set[int] = set()
        while fresh := [one for one in tracked(self._tracking_id) if one.pid not in seen]:
            for leftover in fresh:
                seen.add(leftover.pid)
                self._log.line(f"Terminate orphan process: pid ({leftover.pid}) ({leftover.name})")
                end(leftover.pid)
        empty(where.temp)


def empty(folder: Path) -> None:
    """Removes what is in `folder`; what cannot be removed stays, as with the official runner."""
    try:
        inside = list(folder.iterdir())
    except OSError:
        return
    for path in inside:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            try:
                path.unlink()
            except OSError:
                continue
