"""What the official runner calls before and after a job: asks the agent for a workspace and exports it.

A program of its own (standard library only, never imported by Andon). The runner sets hooks no
deadline, so this one has its own; a job goes on without a workspace unless the host's isolation is
"required". While the agent is away the started hook makes a directory by itself (interfaces.md 4).
"""
# Job code waits for this program, so it imports little; and nobody can hand it an environment.
# ruff: noqa: PTH100, PTH103, PTH118, PTH119, PTH120, PTH123, TID251

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

DEADLINE_S = 10
SPARE_S = 1
"""Of the deadline, to say that it has come."""
ANSWER_S = 3.0
CONNECT_S = 0.5
RETRY_S = 0.05
LINE_BYTES = 64 * 1024
NOTICES, NOTICE_CHARS = 20, 1000
DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
ASKED = (
    "GITHUB_REPOSITORY",
    "GITHUB_RUN_ID",
    "GITHUB_RUN_ATTEMPT",
    "GITHUB_JOB",
    "GITHUB_EVENT_NAME",
    "GITHUB_REF",
    "GITHUB_SHA",
    "GITHUB_WORKSPACE",
    "RUNNER_NAME",
    "RUNNER_TEMP",
    "RUNNER_TRACKING_ID",
)
CACHE = ("SCCACHE_CACHE_SIZE", "SCCACHE_DIR")
BACKENDS = (
    *("SCCACHE_BUCKET", "SCCACHE_ENDPOINT", "SCCACHE_REDIS", "SCCACHE_MEMCACHED", "SCCACHE_GCS_"),
    *("SCCACHE_GHA_", "SCCACHE_AZURE", "SCCACHE_WEBDAV", "SCCACHE_OSS_", "SCCACHE_COS_"),
)
"""Variables that begin so give sccache a place on the network. Their names are told, never what they say."""
PATHS = ("GITHUB_WORKSPACE", "RUNNER_TEMP")
OF_THE_RUNNER = ("GITHUB_", "RUNNER_", "ACTIONS_", "NODE_OPTIONS", "LD_")
"""Variables that nobody but the runner sets, and those that would run code in later steps."""
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class TimeUp(BaseException):
    """The deadline has come; no `except Exception` on the way keeps it."""


class Unusable(Exception):
    """Something could not be done; the text is for the job's log."""


def say(text: str) -> None:
    """One line of the job's log, written at once. Never a workflow command: those begin with `::`
    after white space, or hold `##[` anywhere."""
    clean = "".join(char if char.isprintable() else " " for char in text).replace("##[", "# [").strip()
    data = f"Andon: {clean[:NOTICE_CHARS]}\n".encode("utf-8", "replace")
    try:
        while data:
            data = data[os.write(1, data) :]
    except OSError:
        pass


def read_plan(hooks: str) -> dict[str, Any]:
    """What the agent left for times when it is away (agent/hooks/plan.py); empty when unreadable."""
    try:
        with open(os.path.join(hooks, "plan.json"), encoding="utf-8") as file:
            return dict(json.load(file))
    except (OSError, ValueError, TypeError):
        return {}


def variable(name: str) -> str:
    """A variable as text that can be sent; what is no UTF-8 is replaced, what is too long is cut."""
    text = os.environb.get(name.encode(), b"").decode("utf-8", "replace")
    return text[: 4096 if name in PATHS else 1024]


def ask(root: str, event: str) -> dict[str, Any] | None:
    """The agent's answer; None when there is none within three seconds."""
    until = time.monotonic() + ANSWER_S
    env = {name: variable(name) for name in (*ASKED, *CACHE) if name in os.environ}
    for name in [one for one in os.environ if one.startswith(BACKENDS)][:1]:
        env["SCCACHE_BACKEND"] = name
    line = json.dumps({"v": 1, "hook": event, "pid": os.getpid(), "env": env}, ensure_ascii=False).encode() + b"\n"
    path = os.environ.get("ANDON_SOCKET") or os.path.join(root, "run", "agent.sock")
    if len(line) > LINE_BYTES:
        return None
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
            connect(door, path)
            door.settimeout(max(0.001, until - time.monotonic()))
            door.sendall(line)
            got = b""
            while not got.endswith(b"\n") and len(got) <= LINE_BYTES:
                door.settimeout(max(0.001, until - time.monotonic()))
                part = door.recv(LINE_BYTES)
                if not part:
                    return None
                got += part
        answer: dict[str, Any] = dict(json.loads(got))
    except (OSError, ValueError, TypeError):
        return None
    return answer if isinstance(answer.get("ok"), bool) else None


def connect(door: socket.socket, path: str) -> None:
    """A restarting agent is away for a moment, so more than one try. Raises OSError after 0.5 s."""
    until = time.monotonic() + CONNECT_S
    # A socket's path may have 107 bytes only; its folder's descriptor makes any path short.
    folder = os.open(os.path.dirname(path) or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        while True:
            door.settimeout(max(0.001, until - time.monotonic()))
            try:
                return door.connect(f"/proc/self/fd/{folder}/{os.path.basename(path)}")
            except (FileNotFoundError, ConnectionRefusedError, BlockingIOError):
                if time.monotonic() + RETRY_S > until:
                    raise
                time.sleep(RETRY_S)
    finally:
        os.close(folder)


def append(file_of: str, text: str) -> None:
    """Adds to one of the runner's files, whole or not at all: half a block would fail the job."""
    path = os.environ.get(file_of)
    if not path:
        raise Unusable(f"the runner gave no {file_of}")
    data = text.encode()
    try:
        file = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            size = os.fstat(file).st_size
            try:
                # Another hook of this host may have left its last line open.
                if os.pwrite(file, b"\n" + data, size) != len(data) + 1:
                    raise Unusable(f"{file_of} cannot be written (the disk is full)")
            except BaseException:
                os.ftruncate(file, size)
                raise
        finally:
            os.close(file)
    except OSError as error:
        raise Unusable(f"{file_of} cannot be written ({error.strerror})") from None


def export(env: Any, path: Any) -> None:
    """Hands variables and folders to the job's steps. Raises Unusable; then none of them is set."""
    blocks: list[str] = []
    for name, value in dict(env or {}).items():
        named = name.isidentifier() and name.isascii()
        if named and isinstance(value, str) and "\0" not in value and not name.startswith(OF_THE_RUNNER):
            end = f"andon_{os.urandom(16).hex()}"
            blocks.append(f"{name}<<{end}\n{value}\n{end}\n")
    folders = [one for one in list(path or []) if isinstance(one, str) and one[:1] == "/" and one.isprintable()]
    try:
        if folders:
            append("GITHUB_PATH", "".join(f"{folder}\n" for folder in folders))
        if blocks:
            append("GITHUB_ENV", "".join(blocks))
    except UnicodeEncodeError:
        raise Unusable("the agent's answer is not text") from None


def new_id() -> str:
    """`<run>-<attempt>-<job>-<nonce>`, of harmless characters only, whatever the job is called."""
    numbers = [variable(name) for name in ("GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT")]
    run, attempt = (number if number.isascii() and number.isdecimal() else "0" for number in numbers)
    job = "".join(c if c.isascii() and c.isalnum() else "-" for c in variable("GITHUB_JOB").lower())[:32].strip("-")
    nonce = "".join(DIGITS[byte & 31] for byte in os.urandom(10))
    return f"{run[:20]}-{attempt[:10]}-{job or 'job'}-{nonce}"


def job_process() -> tuple[int, int]:
    """Pid and start (ticks since boot) of the job's process: the ancestor that is `Runner.Worker`,
    else our parent, which is whoever called the hook's script."""
    pid = parent = os.getppid()
    while pid > 1:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read(4096).split(b"\0")[:6]
        if any(word.rpartition(b"/")[2] in (b"Runner.Worker", b"Runner.Worker.dll") for word in words):
            return pid, int(stat_of(pid)[19])
        pid = int(stat_of(pid)[1])
    return parent, int(stat_of(parent)[19])


def stat_of(pid: int) -> list[bytes]:
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()


def slot_in(plan: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Our slot's number and what the plan says of it. Raises Unusable."""
    slots: dict[str, dict[str, Any]] = plan.get("slots") or {}
    number = os.environ.get("ANDON_SLOT", "")
    if number not in slots:
        name = os.environ.get("RUNNER_NAME")
        number = next((key for key, slot in slots.items() if name and slot.get("runner") == name), "")
    if not number.isdecimal():
        raise Unusable("this host's plan does not know the slot")
    return number, slots[number]


def own_folder(name: str, inside: int | None = None, *, make: bool = False) -> int:
    """Opens a folder that is ours and no link, whatever a job may have put there. Raises Unusable, OSError."""
    if make:
        try:
            os.mkdir(name, 0o700, dir_fd=inside)
        except FileExistsError:
            pass
    file = os.open(name, FOLDER, dir_fd=inside)
    # Root's is the agent's own; anybody else's is a trap.
    if os.fstat(file).st_uid not in (os.geteuid(), 0):
        os.close(file)
        raise Unusable(f"{name} belongs to somebody else")
    return file


def stand_alone(root: str, plan: dict[str, Any]) -> tuple[dict[str, str], str]:
    """Makes a workspace without the agent; returns what to export and a notice. Raises Unusable, OSError.

    Its record comes first: a directory that is recorded is never taken for rubbish.
    """
    number, slot = slot_in(plan)
    name, pid, host = new_id(), job_process(), str(plan.get("host") or "unknown")
    work = slot.get("place") == "work"
    if work:
        above = own_folder(os.path.dirname(os.environ.get("RUNNER_TEMP") or "/"))
        folder, place = own_folder("_andon", above, make=True), os.path.dirname(os.environ["RUNNER_TEMP"]) + "/_andon"
    else:
        place = os.path.join(root, "standalone", number)
        folder = own_folder(place)
    path = os.path.join(place, name)
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        boot = file.read().strip()
    env = {key: variable(key) for key in ASKED if key in os.environ}
    record = {"v": 1, "id": name, "boot_id": boot, "pid": pid[0], "start": pid[1], "slot": int(number), "path": path}
    orphans = os.open(os.path.join(root, "orphans"), os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    put(orphans, name, json.dumps(record | {"env": env}).encode())
    try:
        os.mkdir(name, 0o700, dir_fd=folder)
        subs: dict[str, str] = {"TMPDIR": "tmp", **dict(slot.get("export") or {})}
        for sub in ("target", "meta", *subs.values()):
            if sub.startswith("/") or ".." in sub.split("/"):
                raise Unusable(f"the plan's sub-directory {sub} leads out of the workspace")
            os.makedirs(os.path.join(path, sub), 0o700, exist_ok=True)
    except BaseException:
        os.unlink(name, dir_fd=orphans)
        raise
    notice = f"host {host}, slot {number}, no base; the agent did not answer, so this directory was made without it"
    if plan.get("public_url"):
        notice += f"; {plan['public_url']}/jobs/{name}"
    out = {"ANDON_WORKSPACE": path, "ANDON_WORKSPACE_ID": name, "ANDON_HOST": host, "ANDON_SLOT": number}
    out["ANDON_WORKSPACE_EXPORT"] = "\n".join(f"{key}={sub}" for key, sub in subs.items())
    seen = path
    if work:
        # Steps of a job container see the runner's _work as /__w, others do not; who runs them
        # is known here only where the runner itself already speaks of /__w (R92).
        if not variable("GITHUB_WORKSPACE").startswith("/__w/"):
            notice += "; no path is exported, since it cannot be told here whether steps run in a container"
            return out, notice
        seen = f"/__w/_andon/{name}"
    return out | {key: f"{seen}/{sub}" for key, sub in subs.items()}, notice


def put(folder: int, name: str, content: bytes) -> None:
    """A new file, there whole or not at all, in a folder that other users write to. Raises Unusable, OSError."""
    # Only this way to write needs it, and the agent tells by it whether the writer lives.
    from fcntl import LOCK_EX, LOCK_NB, flock

    fresh = f".{name}"
    file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
    try:
        flock(file, LOCK_EX | LOCK_NB)
        if os.write(file, content) != len(content):
            raise Unusable("the disk is full")
        os.rename(fresh, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        os.unlink(fresh, dir_fd=folder)
        raise
    finally:
        os.close(file)


def started(root: str, plan: dict[str, Any]) -> None:
    """Gets the job its workspace. Raises Unusable and OSError when it has none."""
    answer = ask(root, "started")
    if answer is None:
        env, notice = stand_alone(root, plan)
        export(env, [])
        say(notice)
        return
    for notice in list(answer.get("notices") or [])[:NOTICES]:
        say(str(notice))
    if not answer["ok"]:
        raise Unusable(str(answer.get("error") or "the agent refused"))
    export(answer.get("env"), answer.get("path"))


def completed(root: str) -> None:
    """Tells the agent that the job is over; the agent's own evidence does not need it."""
    for notice in list((ask(root, "completed") or {}).get("notices") or [])[:NOTICES]:
        say(str(notice))


def main() -> int:
    hooks = os.path.dirname(os.path.abspath(__file__))
    root, event = os.path.dirname(hooks), sys.argv[1] if len(sys.argv) > 1 else ""
    plan = read_plan(hooks)
    need = event == "started" and plan.get("isolation") == "required"
    bad = 1 if need else 0

    # A second alarm, should even saying so take too long.
    def end_of_time(_signal: int, _frame: object) -> NoReturn:
        signal.signal(signal.SIGALRM, lambda _signal, _frame: os._exit(bad))
        signal.alarm(SPARE_S)
        raise TimeUp

    signal.signal(signal.SIGALRM, end_of_time)
    signal.alarm(DEADLINE_S - SPARE_S)
    try:
        if event == "started":
            started(root, plan)
        elif event == "completed":
            completed(root)
    except TimeUp:
        say(f"no workspace: not done within {DEADLINE_S - SPARE_S} s")
        return bad
    except Exception as error:
        if event != "started":
            return 0
        reason = error.strerror or error if isinstance(error, OSError) else error
        say(f"no workspace for this job: {reason}" + ('; isolation = "required", so it does not run' if need else ""))
        return bad
    return 0


if __name__ == "__main__":
    result = 0
    try:
        result = main()
    finally:
        # What an interpreter does at its end can block or fail; all that was said is written already.
        os._exit(result)
