"""Runs the scripts of one job after each other, and carries what one leaves to the next."""

from collections.abc import Callable, Mapping

from andon.sim.runner.file_commands import BadFileCommand, make_files, read_files
from andon.sim.runner.job_log import JobLog
from andon.sim.runner.scripts import Script
from andon.sim.runner.step_process import Ended, Stop, run_process
from andon.sim.runner.timings import Timings
from andon.sim.runner.variables import Places, with_path


class StepRun:
    """Holds the environment and the PATH as steps and hooks change them through their files."""

    def __init__(
        self,
        *,
        environment: Mapping[str, str],
        defaults: Mapping[str, str],
        where: Places,
        log: JobLog,
        stop: Stop,
        timings: Timings,
    ) -> None:
        self._inherited = environment
        self._exported: dict[str, str] = {}
        self._path: list[str] = []
        self._defaults = defaults
        self._where = where
        self._log = log
        self._stop = stop
        self._timings = timings
        self._count = 0

    @property
    def exported(self) -> dict[str, str]:
        """What scripts put into GITHUB_ENV until now."""
        return dict(self._exported)

    @property
    def defaults(self) -> dict[str, str]:
        """The variables that nothing a job sets can replace."""
        return dict(self._defaults)

    def environment(self) -> dict[str, str]:
        """The environment that the next script would start from."""
        return with_path({**self._inherited, **self._exported, **self._defaults}, self._path)

    def run(
        self,
        script: Script,
        *,
        name: str,
        on_start: Callable[[], None],
        env: Mapping[str, str] | None = None,
        folder: str | None = None,
        timeout_minutes: float | None = None,
        is_stopped: Callable[[], bool] = lambda: False,
        stoppable: bool = False,
    ) -> str:
        """Runs one script and returns success, failure or cancelled."""
        self._count += 1
        files = make_files(self._where.temp / "_runner_file_commands", self._count)
        command = self._command(script)
        self._introduce(script, {**self._exported, **(env or {})})
        try:
            ended = run_process(
                command,
                folder=self._where.workspace / (folder or ""),
                env=self._environment(env or {}, files),
                output=self._log.output,
                timings=self._timings,
                on_start=on_start,
                is_stopped=is_stopped,
                stop_descriptor=self._stop.descriptor if stoppable else None,
                timeout_s=None if timeout_minutes is None else timeout_minutes * 60,
            )
        except OSError as error:
            on_start()
            self._log.error(f"An error occurred trying to start process '{command[0]}': {error.strerror}")
            return "failure"
        self._log.end_output()
        return self._conclude(ended, name, command[0], timeout_minutes, files)

    def _conclude(
        self, ended: Ended, name: str, program: str, timeout_minutes: float | None, files: dict[str, str]
    ) -> str:
        if ended.output_open:
            self._log.line(
                f"The STDIO streams did not close within {self._timings.output_close_s:g} seconds of the exit event "
                f"from process '{program}'. This may indicate a child process inherited the STDIO streams and has not "
                "yet exited."
            )
        readable = self._take_files(files)
        if ended.cancelled:
            return "cancelled"
        if ended.timed_out:
            self._log.error(f"The action '{name}' has timed out after {timeout_minutes:g} minutes.")
            return "failure"
        if ended.exit_code != 0:
            self._log.error(f"Process completed with exit code {ended.exit_code}.")
            return "failure"
        return "success" if readable else "failure"

    def _take_files(self, files: dict[str, str]) -> bool:
        try:
            left = read_files(files)
        except BadFileCommand as error:
            self._log.error(str(error))
            return False
        self._exported.update(left.env)
        self._path.extend(left.path)
        return True

    def _command(self, script: Script) -> list[str]:
        file = script.file
        if file is None:
            file = self._where.temp / f"script-{self._count}{script.suffix}"
            self._where.temp.mkdir(parents=True, exist_ok=True)
            file.write_text(script.content or "", encoding="utf-8")
        return [part.replace("{0}", str(file)) for part in script.command]

    def _introduce(self, script: Script, shown: Mapping[str, str]) -> None:
        self._log.line(f"##[group]{script.heading}")
        for line in script.body:
            self._log.line(f"\x1b[36;1m{line}\x1b[0m")
        self._log.line(f"shell: {' '.join(script.command)}")
        if shown:
            self._log.line("env:")
            for name, value in shown.items():
                self._log.line(f"  {name}: {value}")
        self._log.line("##[endgroup]")

    def _environment(self, own: Mapping[str, str], files: Mapping[str, str]) -> dict[str, str]:
        action = "__run" if self._count == 1 else f"__run_{self._count}"
        env = {**self._inherited, **self._exported, **own, **self._defaults, **files, "GITHUB_ACTION": action}
        return with_path(env, self._path)
