"""What lies between a job's hooks: the protocol that the two ways to run its steps have in common."""

from typing import NamedTuple, Protocol

from andon.sim.runner.job_log import JobLog
from andon.sim.runner.step_process import Stop
from andon.sim.runner.step_run import StepRun
from andon.sim.runner.step_table import StepTable, Title
from andon.sim.runner.timings import Timings
from andon.sim.runner.variables import Places


class JobParts(NamedTuple):
    """What a job's steps run with."""

    scripts: StepRun
    """Runs one script, and holds what the started hook exported."""
    table: StepTable
    log: JobLog
    stop: Stop
    where: Places
    timings: Timings


class JobSteps(Protocol):
    """The steps of one job: the server's own (`script_steps`) or a workflow file's (`act_steps`)."""

    def titles(self) -> list[Title]:
        """The rows that are known before the job starts."""
        ...

    def run(self, parts: JobParts, *, failed: bool) -> bool:
        """Runs them all; `failed` when the started hook has. Returns whether the job has failed now."""
        ...
