"""Turns what `act --json` prints into the job's log and its table of steps.

One JSON object a line; a step begins with "Run Main NAME" and ends with a line that has a
`stepResult`. Of the jobs that act runs (it also runs those that ours needs) only ours has rows.
"""

import json
import re
from collections.abc import Callable
from typing import Any, cast

from andon.sim.runner.job_log import JobLog
from andon.sim.runner.step_table import StepTable, Title

_BEGINS = re.compile(r"\W*Run (Pre|Main|Post) ")
_EXIT = re.compile(r"exit ?status (\d+)|exitcode '(\d+)'")
_GOES_ON = "Failed but continue next step"
_NOT_CHOSEN = "Skipping unsupported platform"
_ENDED_BY_US = "this step has been cancelled"
_LINE_LIMIT = 8 * 1024 * 1024


class ActOutput:
    """Takes act's output as it comes. Not for use by two threads at once."""

    def __init__(self, job_key: str, log: JobLog, table: StepTable, *, is_stopped: Callable[[], bool]) -> None:
        self.results: list[str] = []
        """The results of our job's legs that ended: success, failure, skipped."""
        self.legs: set[str] = set()
        """The matrices, as JSON, of the legs of our job."""
        self.not_chosen = False
        """Whether act knew no platform for a label of the job's `runs-on`."""
        self.last_words = ""
        """The last line that was no JSON: act's own complaint."""
        self._job_key = job_key
        self._log = log
        self._table = table
        self._is_stopped = is_stopped
        self._waiting = b""
        self._open: str | None = None
        self._goes_on: set[str] = set()
        self._rows: set[str] = set()

    def take(self, chunk: bytes) -> None:
        """Bytes cut anywhere; whole lines are dealt with, the rest waits."""
        *whole, self._waiting = (self._waiting + chunk).split(b"\n")
        for line in whole:
            self._line(line)
        if len(self._waiting) > _LINE_LIMIT:
            self._waiting = b""

    def end(self, conclusion: str) -> None:
        """No output after this; a row that is still open ends with `conclusion`."""
        if self._waiting:
            self._line(self._waiting)
            self._waiting = b""
        self._log.end_output()
        if self._open is not None:
            self._table.end(self._open, conclusion)
            self._open = None

    def _line(self, line: bytes) -> None:
        try:
            said: Any = json.loads(line)
        except ValueError:
            said = None
        if isinstance(said, dict):
            self._said(cast("dict[str, Any]", said))
        elif text := line.decode("utf-8", "replace").strip():
            self.last_words = text

    def _said(self, said: dict[str, Any]) -> None:
        text = str(said.get("msg", ""))
        if said.get("jobID") != self._job_key:
            self._of_others(said, text)
            return
        # By the matrix: legs may have the same name.
        self.legs.add(json.dumps(said.get("matrix"), sort_keys=True))
        if said.get("raw_output"):
            # What a step prints says nothing of the job, whatever it looks like.
            self._to_log(said, text)
            return
        self.not_chosen |= _NOT_CHOSEN in text
        if "jobResult" in said:
            self.results.append(str(said["jobResult"]))
        key = _key(said)
        if key is not None and len(self.legs) == 1:
            self._of_step(key, said, text)
        else:
            self._to_log(said, text)

    def _of_others(self, said: dict[str, Any], text: str) -> None:
        """A needed job's output belongs into the log; what act says of itself only when it is an error."""
        if "jobID" in said:
            self._to_log(said, text)
        elif said.get("level") in ("error", "fatal", "panic"):
            self._log.error(text)

    def _of_step(self, key: str, said: dict[str, Any], text: str) -> None:
        name = _title(str(said.get("step", "")))
        if _BEGINS.match(text):
            if key not in self._rows:
                self._rows.add(key)
                self._table.add(Title(key, name if said.get("stage") == "Main" else f"{said['stage']} {name}"))
                self._table.start(key)
                self._open = key
            self._log.line(f"##[group]Run {name}\n##[endgroup]")
        elif text == _GOES_ON:
            self._goes_on.add(key)
            self._log.line(text)
        elif "stepResult" in said and key == self._open and len(_ids(said)) == 1:
            self._log.end_output()
            self._table.end(key, self._conclusion(key, str(said["stepResult"])))
            self._open = None
        else:
            self._to_log(said, text)

    def _conclusion(self, key: str, result: str) -> str:
        if result != "failure":
            return result
        if key in self._goes_on:
            return "success"
        # A step that act ended because the job was cancelled is a failure to act.
        return "cancelled" if self._is_stopped() else "failure"

    def _to_log(self, said: dict[str, Any], text: str) -> None:
        if said.get("raw_output"):
            self._log.output(text.encode("utf-8", "replace"))
        elif "raw" in said:
            self._log.output(f"{str(said['raw']).rstrip(chr(10))}\n".encode("utf-8", "replace"))
        elif said.get("level") == "error" and not text.startswith(_ENDED_BY_US):
            self._log.end_output()
            self._log.error(_in_runners_words(text))


def _key(said: dict[str, Any]) -> str | None:
    """The row of a line: its stage and the step of the file it belongs to; nested steps have none of their own."""
    ids = _ids(said)
    return f"act-{said['stage']}-{ids[0]}" if ids and said.get("stage") else None


def _ids(said: dict[str, Any]) -> list[Any]:
    ids: Any = said.get("stepID")
    return cast("list[Any]", ids) if isinstance(ids, list) else []


def _title(step: str) -> str:
    """act calls a step without a name by its whole script; GitHub by the first line."""
    first, *rest = step.strip().splitlines() or [""]
    return f"Run {first}" if rest else first


def _in_runners_words(text: str) -> str:
    found = _EXIT.fullmatch(text.strip())
    return f"Process completed with exit code {found.group(1) or found.group(2)}." if found else text
