"""The steps that came with the job, each a script with its `if`, shell, folder and time limit."""

from andon.sim.runner.conditions import BadCondition, holds
from andon.sim.runner.job_steps import JobParts
from andon.sim.runner.messages import Job, Step
from andon.sim.runner.scripts import BadScript, Script, step_script
from andon.sim.runner.step_table import Title

_SHUTDOWN = (
    "The runner has received a shutdown signal. This can happen when the runner service is stopped, "
    "or a manually started runner is canceled."
)


class ScriptSteps:
    """Runs the job's own steps after each other."""

    def __init__(self, job: Job) -> None:
        self._steps = job["steps"]
        self._failed = False

    def titles(self) -> list[Title]:
        """A row for each step."""
        return [Title(_key(number), title_of(step)) for number, step in enumerate(self._steps)]

    def run(self, parts: JobParts, *, failed: bool) -> bool:
        """Runs every step whose `if` holds; returns whether the job has failed."""
        self._failed = failed
        for number, step in enumerate(self._steps):
            self._step(parts, _key(number), step)
        return self._failed

    def _step(self, parts: JobParts, key: str, step: Step) -> None:
        try:
            wanted = self._wanted(parts, step)
            script = step_script(step) if wanted else None
        except (BadCondition, BadScript) as error:
            parts.table.start(key)
            parts.log.error(str(error))
            self._failed = True
            parts.table.end(key, "failure")
            return
        if script is None:
            parts.table.end(key, "skipped", show=False)
            return
        conclusion = self._run(parts, key, step, script)
        if conclusion == "failure" and step.get("continue-on-error"):
            conclusion = "success"
        self._failed |= conclusion == "failure"
        parts.table.end(key, conclusion, show=False)

    def _run(self, parts: JobParts, key: str, step: Step, script: Script) -> str:
        conclusion = parts.scripts.run(
            script,
            name=title_of(step),
            on_start=lambda: parts.table.start(key),
            env=step.get("env", {}),
            folder=step.get("working-directory"),
            timeout_minutes=step.get("timeout-minutes"),
            is_stopped=lambda: not self._wanted(parts, step),
            stoppable=parts.stop.reason is None,
        )
        if conclusion == "cancelled":
            say_cancelled(parts)
        return conclusion

    def _wanted(self, parts: JobParts, step: Step) -> bool:
        return holds(step.get("if"), failed=self._failed, cancelled=parts.stop.reason is not None)


def say_cancelled(parts: JobParts) -> None:
    """The official runner's words for a step that was ended because its job was."""
    if parts.stop.reason == "shutdown":
        parts.log.error(_SHUTDOWN)
    parts.log.error("The operation was canceled.")


def title_of(step: Step) -> str:
    """A step's name as GitHub shows it."""
    lines = step["run"].strip().splitlines() or [""]
    return step.get("name") or f"Run {lines[0]}"


def _key(number: int) -> str:
    return f"step-{number}"
