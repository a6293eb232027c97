"""The steps of a real workflow file, run by the program `act` between the job's hooks.

act knows nothing of hooks, JIT configs or sessions; those are the stand-in's. What differs from
the official runner is listed in docs/sandbox.md.
"""

from andon.sim.runner.act_command import ActFolders, act_command, write_files
from andon.sim.runner.act_output import ActOutput
from andon.sim.runner.job_steps import JobParts
from andon.sim.runner.messages import Job, WorkflowOrder
from andon.sim.runner.script_steps import say_cancelled
from andon.sim.runner.step_process import Ended, run_process
from andon.sim.runner.step_table import Title


class ActSteps:
    """Runs one job of a workflow file: the one whose key the server's job has."""

    def __init__(self, job: Job, order: WorkflowOrder) -> None:
        self._job = job
        self._order = order

    def titles(self) -> list[Title]:
        """None: what act runs is known when it runs it."""
        return []

    def run(self, parts: JobParts, *, failed: bool) -> bool:
        """Runs the workflow's job; returns whether the job has failed.

        Nothing of it runs behind a hook that failed, nor when the job was cancelled before.
        """
        if failed or parts.stop.reason is not None:
            parts.log.line("The workflow file is not run.")
            return failed
        folders = ActFolders(start=parts.where.temp / "_act", cache=parts.where.temp.parent / "_act")
        command = act_command(self._order, self._job, folders)
        parts.log.line(f"Job '{self._job['key']}' of {self._order['file']}, run by act")
        stop = parts.stop
        output = ActOutput(self._job["key"], parts.log, parts.table, is_stopped=lambda: stop.reason is not None)
        try:
            write_files(folders, self._job, parts.scripts.exported | parts.scripts.defaults)
            ended = run_process(
                command,
                folder=folders.start,
                env=parts.scripts.environment(),
                output=output.take,
                timings=parts.timings,
                is_stopped=lambda: True,
                stop_descriptor=parts.stop.descriptor,
            )
        except OSError as error:
            parts.log.error(f"An error occurred trying to start process '{command[0]}': {error.strerror}")
            return True
        output.end("cancelled" if ended.cancelled else "failure")
        if ended.cancelled:
            say_cancelled(parts)
            return False
        reason = self._why_not_done(ended, output)
        if reason is not None:
            parts.log.error(reason)
        return reason is not None or output.results != ["success"]

    def _why_not_done(self, ended: Ended, output: ActOutput) -> str | None:
        """Why there is no result that can be believed; None when there is one, success or failure."""
        key, file = self._job["key"], self._order["file"]
        if len(output.legs) > 1:
            return (
                f"Job '{key}' of {file} has {len(output.legs)} legs and this is one job. "
                "Choose one with MATRIX_<key> in the job's env."
            )
        if output.not_chosen:
            return (
                f"act left out job '{key}' of {file}: its runs-on asks for other labels than "
                f"{', '.join(self._job['labels'])}, which the job was queued with."
            )
        if output.results == ["failure"] or (output.results == ["success"] and ended.exit_code == 0):
            return None
        said = f", saying: {output.last_words}" if output.last_words else ""
        return f"act ended with exit code {ended.exit_code} and no success of job '{key}' of {file}{said}"
