"""Runner folders as config.sh leaves them, with a stand-in of the official runner's programs.

Its listener reads `.env` as the official one does, says each thing that it does in `_diag/said`, ends
by SIGINT, and runs a job when somebody writes into the pipe `order`: a `Runner.Worker` that calls the
started hook, says `job`, and ends when somebody writes into the pipe `finish`.
"""

import contextlib
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from andon.agent.process_identity import all_pids

PATIENCE_S = 20.0

LISTENER = r"""#!/bin/bash
cd "$(dirname "$0")/.."
while IFS= read -r line || [ -n "$line" ]; do
  case "$line" in ?*=*) export "${line%%=*}=${line#*=}" ;; esac
done < <(cat .env 2>/dev/null | tr -d '\r')
trap 'echo interrupted >> _diag/said; exit 0' INT
echo "listening $$ ${ACTIONS_RUNNER_HOOK_JOB_STARTED:-none}" >> _diag/said
exec 3<> order
while :; do
  if read -r -t 0.2 what <&3; then
    "$PWD/bin/Runner.Worker" &
    wait $!
  fi
done
"""
WORKER = r"""#!/bin/bash
cd "$(dirname "$0")/.."
if [ -n "$ACTIONS_RUNNER_HOOK_JOB_STARTED" ]; then
  bash -e "$ACTIONS_RUNNER_HOOK_JOB_STARTED" >> _diag/hook 2>&1
  echo "hook $?" >> _diag/said
fi
echo job >> _diag/said
read -r what <> finish
echo done >> _diag/said
"""
RUN = r"""#!/bin/bash
cd "$(dirname "$0")"
"$PWD/bin/Runner.Listener" run
exit 0
"""


class RunnerHome:
    """One folder and what runs in it."""

    def __init__(self, path: Path, name: str = "old-1", settings: dict[str, object] | None = None) -> None:
        self.path = path
        self._process: subprocess.Popen[bytes] | None = None
        (path / "bin").mkdir(parents=True)
        (path / "_diag").mkdir()
        for program, text in (("run.sh", RUN), ("bin/Runner.Listener", LISTENER), ("bin/Runner.Worker", WORKER)):
            (path / program).write_text(text)
            (path / program).chmod(0o755)
        known = {"agentId": 7, "agentName": name, "gitHubUrl": "https://github.com/acme/app", "workFolder": "_work"}
        (path / ".runner").write_bytes(b"\xef\xbb\xbf" + json.dumps({**known, **(settings or {})}).encode())
        for pipe in ("order", "finish"):
            os.mkfifo(path / pipe)

    @property
    def env(self) -> Path:
        return self.path / ".env"

    def said(self) -> list[str]:
        try:
            return (self.path / "_diag" / "said").read_text().splitlines()
        except FileNotFoundError:
            return []

    def listeners(self) -> list[int]:
        """The pid of each listener that ever began."""
        return [int(line.split()[1]) for line in self.said() if line.startswith("listening")]

    def start(self, environ: dict[str, str] | None = None) -> None:
        """As an operator would in a terminal, and waits until it listens."""
        before = len(self.listeners())
        self._process = subprocess.Popen(
            [str(self.path / "run.sh")], start_new_session=True, env={**os.environ, **(environ or {})}
        )
        wait_until(lambda: len(self.listeners()) > before, "it listens")

    def begin_job(self) -> None:
        before = self.said().count("job")
        _say(self.path / "order")
        wait_until(lambda: self.said().count("job") > before, "a job runs")

    def finish_job(self) -> None:
        before = self.said().count("done")
        _say(self.path / "finish")
        wait_until(lambda: self.said().count("done") > before, "the job is over")

    def interrupt(self, number: int = signal.SIGINT) -> None:
        os.kill(self.listeners()[-1], number)
        self.reap()

    def reap(self) -> None:
        if self._process is not None:
            self._process.wait(PATIENCE_S)
            self._process = None

    def processes(self) -> list[int]:
        """Everything that lives in the folder."""
        found: list[int] = []
        for pid in all_pids():
            try:
                cwd = Path(f"/proc/{pid}/cwd").readlink()
            except OSError:
                continue
            if cwd.is_relative_to(self.path):
                found.append(pid)
        return found

    def clean_up(self) -> None:
        """Ends whatever is left in the folder, who ever started it."""
        while left := self.processes():
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
        self.reap()


def _say(pipe: Path) -> None:
    file = os.open(pipe, os.O_RDWR)
    try:
        os.write(file, b"go\n")
    finally:
        # The reader holds the pipe open, so what was written stays in it.
        os.close(file)


def wait_until(true: Callable[[], object], what: str) -> None:
    """For what gives no signal: looks again and again, with a deadline."""
    deadline = datetime.now(UTC) + timedelta(seconds=PATIENCE_S)
    pause = threading.Event()
    while not true():
        assert datetime.now(UTC) < deadline, f"never: {what}"
        pause.wait(0.02)
