"""Stands beside one runner: starts it, keeps its last words, and writes down how it ended.

A program of its own (standard library only, never imported by Andon) so that neither the agent's
restart nor its sudden end costs a job or an exit code (interfaces.md section 10). It gets its
order as JSON on standard input, because a JIT config stands on no command line (R26), and three
open files: 3 the lock that says "this shim lives", 4 and 5 the two ends of the runner's output.
"""
# One lives beside each runner, so it imports little; and nobody can hand it a clock.
# ruff: noqa: PTH103, PTH105, PTH106, PTH112, PTH118, PTH120, PTH123, PTH208, TID251

from __future__ import annotations

import json
import os
import select
import signal
import socket
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn, TypedDict

    class User(TypedDict):
        name: str
        uid: int
        gid: int
        groups: list[int]

    class Order(TypedDict):
        folder: str
        nudge_folder: str
        boot_id: str
        secret: str
        command: list[str]
        cwd: str
        env: dict[str, str]
        user: User | None
        cgroup: str | None

    class State(TypedDict):
        phase: str
        boot_id: str
        shim_pid: int
        pid: int | None
        pid_start: int | None
        started_at: str | None
        ended_at: str | None
        exit: int | None
        signal: int | None
        tail: str
        cgroup: str | None
        notes: list[str]


LOCK, OUT_READ, OUT_WRITE = 3, 4, 5
CHUNK = 1 << 16
HEAD_BYTES = 512 << 10
REST_BYTES = 256 << 10
TAIL_BYTES = 4096
SPARE_BYTES = 32 << 10
DRAIN_S = 0.3
RETRY_S = 2.0
CANNOT_START, NOT_FOUND = 126, 127
PHRASES = ((b"Running job:", "running"), (b"Listening for Jobs", "listening"))


def start_ticks(pid: int) -> int:
    """When a process began, in clock ticks since boot: with its pid, its name for good."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[19])


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + f".{time.time_ns() // 1000 % 1000000:06d}Z"


class Output:
    """The runner's output on disk: its beginning and its end, about 1 MiB however much it says.

    A disk that is full costs lines of this file, never the runner's time.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.head_left = HEAD_BYTES
        self.rest_left = 0
        self.file = self.open("output.log")

    def open(self, name: str) -> int:
        path = os.path.join(self.folder, name)
        try:
            return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError:
            return -1

    def write(self, data: bytes) -> None:
        if self.head_left > 0:
            self.append(data[: self.head_left])
            data, self.head_left = data[self.head_left :], self.head_left - len(data)
        while data:
            if self.rest_left <= 0:
                self.turn_over()
            part, data = data[: self.rest_left], data[self.rest_left :]
            self.append(part)
            self.rest_left -= len(part)

    def turn_over(self) -> None:
        if self.file >= 0:
            os.close(self.file)
        rest = os.path.join(self.folder, "output.rest.log")
        try:
            os.replace(rest, os.path.join(self.folder, "output.rest.1.log"))
        except OSError:
            pass
        self.rest_left = REST_BYTES
        self.file = self.open("output.rest.log")

    def append(self, data: bytes) -> None:
        if self.file >= 0:
            try:
                os.write(self.file, data)
            except OSError:
                pass


class Status:
    """What the agent reads: `status.json`, replaced whole, with a nudge after each change."""

    def __init__(self, order: Order) -> None:
        self.folder = order["folder"]
        self.nudge_folder = order["nudge_folder"]
        self.unsaved = False
        self.spare = self.reserve()
        self.state: State = {
            "phase": "starting",
            "boot_id": order["boot_id"],
            "shim_pid": os.getpid(),
            "pid": None,
            "pid_start": None,
            "started_at": None,
            "ended_at": None,
            "exit": None,
            "signal": None,
            "tail": "",
            "cgroup": None,
            "notes": [],
        }

    def reserve(self) -> int:
        """Blocks set aside now, so that the end can be written down on a disk that is full then."""
        path = os.path.join(self.folder, ".status.spare")
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
            os.write(file, b" " * SPARE_BYTES)
            return file
        except OSError:
            return -1

    def save(self) -> bool:
        data = json.dumps(self.state).encode()
        self.unsaved = not (self.replace(data) or self.use_spare(data))
        if not self.unsaved:
            self.nudge()
        return not self.unsaved

    def replace(self, data: bytes) -> bool:
        fresh = os.path.join(self.folder, ".status.new")
        try:
            file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                complete = os.write(file, data) == len(data)
            finally:
                os.close(file)
            if complete:
                os.replace(fresh, os.path.join(self.folder, "status.json"))
            return complete
        except OSError:
            return False

    def use_spare(self, data: bytes) -> bool:
        """Only for the end: overwriting blocks that are ours and renaming need no space."""
        if self.state["phase"] != "ended" or self.spare < 0 or len(data) > SPARE_BYTES:
            return False
        try:
            os.pwrite(self.spare, data.ljust(SPARE_BYTES), 0)
            os.replace(os.path.join(self.folder, ".status.spare"), os.path.join(self.folder, "status.json"))
        except OSError:
            return False
        self.spare = -1
        return True

    def nudge(self) -> None:
        try:
            folder = os.open(self.nudge_folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as door:
                    # By the folder's descriptor: a socket's path may have 107 bytes at most.
                    door.sendto(b"1", f"/proc/self/fd/{folder}/shim.sock")
            finally:
                os.close(folder)
        except OSError:
            pass


class Listener:
    """Turns the runner's output into log, phase and last words, without its JIT config in any."""

    def __init__(self, order: Order, status: Status) -> None:
        self.secret = order["secret"].encode()
        self.limit = max(CHUNK, 2 * len(self.secret))
        self.status = status
        self.output = Output(order["folder"])
        self.pending = b""
        self.tail = b""

    def take(self, data: bytes) -> None:
        self.pending += data
        end = self.pending.rfind(b"\n") + 1
        if end:
            self.pass_on(self.hide(self.pending[:end]))
            self.pending = self.pending[end:]
        elif len(self.pending) > self.limit:
            shown = self.hide(self.pending)
            # A secret that is only half here must not be cut in two.
            cut = max(0, len(shown) - len(self.secret) + 1)
            self.pass_on(shown[:cut])
            self.pending = shown[cut:]

    def close(self) -> None:
        self.pass_on(self.hide(self.pending))
        self.pending = b""

    def hide(self, data: bytes) -> bytes:
        return data.replace(self.secret, b"[redacted]") if self.secret else data

    def pass_on(self, data: bytes) -> None:
        if not data:
            return
        self.output.write(data)
        self.tail = (self.tail + data)[-2 * TAIL_BYTES :]
        phase = self.status.state["phase"]
        for words, reached in PHRASES:
            if words in data and phase != reached and phase != "running":
                self.status.state["phase"] = reached
                self.status.save()
                break

    def last_words(self, more: str) -> str:
        text = self.tail.decode("utf-8", "replace")
        if more:
            text = f"{text}{'' if not text or text.endswith(chr(10)) else chr(10)}{more}"
        text = "".join(char for char in text if char >= " " or char in "\n\t")
        return text.encode()[-TAIL_BYTES:].decode("utf-8", "ignore")


def make_cgroup(path: str | None, notes: list[str]) -> str | None:
    """Makes a cgroup for the runner; None, with the reason noted, where that is not possible."""
    if not path:
        return None
    reason = ""
    # Twice: another shim's end may remove the folder above between the making of the two.
    for _ in range(2):
        try:
            os.makedirs(path, exist_ok=True)
            return path
        except OSError as error:
            reason = str(error.strerror)
    notes.append(f"no cgroup of its own: {reason}")
    return None


def remove_cgroup(path: str | None) -> None:
    """Removes the runner's cgroup, and the one above when it was the last: if they are empty."""
    if path:
        try:
            os.rmdir(path)
            os.rmdir(os.path.dirname(path))
        except OSError:
            pass


def set_priority(value: str) -> None:
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(value)
    except OSError:
        pass


def become_runner(order: Order, cgroup: str | None, oom: str, gate: int, failed: int) -> NoReturn:
    """In the child: waits for the gate, becomes the slot's user and then the runner's command."""
    step, code = "start", CANNOT_START
    try:
        os.setsid()
        # Nothing is run before the parent wrote down who we are; without it we are nobody's.
        if os.read(gate, 1) != b"1":
            os._exit(CANNOT_START)
        if cgroup:
            try:
                with open(os.path.join(cgroup, "cgroup.procs"), "w") as file:
                    file.write("0")
            except OSError:
                pass
        set_priority(oom)
        for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(name, signal.SIG_DFL)
        os.dup2(OUT_WRITE, 1)
        os.dup2(OUT_WRITE, 2)
        os.umask(0o022)
        user = order["user"]
        if user:
            step = f"become the user {user['name']}"
            os.setgroups(user["groups"])
            os.setgid(user["gid"])
            os.setuid(user["uid"])
        step = "enter the slot directory"
        os.chdir(order["cwd"])
        step = f"run {order['command'][0]}"
        os.execvpe(order["command"][0], order["command"], order["env"])
    except BaseException as error:
        code = NOT_FOUND if isinstance(error, FileNotFoundError) else CANNOT_START
        os.write(failed, f"andon: could not {step}: {getattr(error, 'strerror', None) or error}.\n".encode())
    finally:
        os._exit(code)


def close_strangers() -> None:
    """Files that our parents left open: nobody gave them to the runner."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > OUT_WRITE:
            try:
                os.close(int(name))
            except OSError:
                pass


def start(order: Order, status: Status) -> tuple[int, int]:
    """Starts the runner's process, identity recorded before its first instruction of its own."""
    for file in (LOCK, OUT_READ, OUT_WRITE):
        os.set_inheritable(file, False)
    with open("/proc/self/oom_score_adj") as file:
        oom = file.read().strip()
    set_priority("-500")
    cgroup = make_cgroup(order["cgroup"], status.state["notes"])
    gate, opened = os.pipe()
    failures, failed = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(opened)
        become_runner(order, cgroup, oom, gate, failed)
    os.close(OUT_WRITE)
    os.close(gate)
    os.close(failed)
    state = status.state
    state["pid"], state["pid_start"], state["started_at"], state["cgroup"] = child, start_ticks(child), now(), cgroup
    status.save()
    os.write(opened, b"1")
    os.close(opened)
    return child, failures


def watch(child: int, listener: Listener, status: Status) -> None:
    """Reads until the runner ended; what its children say later is nobody's business here."""
    ended = os.pidfd_open(child)
    poll = select.poll()
    poll.register(OUT_READ, select.POLLIN)
    poll.register(ended, select.POLLIN)
    os.set_blocking(OUT_READ, False)
    give_up: float | None = None
    while give_up is None or time.monotonic() < give_up:
        wait_ms = 20 if give_up else RETRY_S * 1000 if status.unsaved else None
        ready = dict(poll.poll(wait_ms))
        if status.unsaved:
            status.save()
        if ended in ready:
            poll.unregister(ended)
            give_up = time.monotonic() + DRAIN_S
        if OUT_READ in ready:
            try:
                data = os.read(OUT_READ, CHUNK)
            except BlockingIOError:
                continue
            if data:
                listener.take(data)
                continue
            poll.unregister(OUT_READ)
            if give_up:
                return
        elif give_up:
            return


def main() -> None:
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    close_strangers()
    with os.fdopen(0, "rb", closefd=False) as file:
        order = json.loads(file.read())
    os.dup2(os.open("/dev/null", os.O_RDWR), 0)
    os.chdir("/")
    status = Status(order)
    listener = Listener(order, status)
    child, failures = start(order, status)
    watch(child, listener, status)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    listener.close()
    why = os.read(failures, 4096).decode("utf-8", "replace")
    remove_cgroup(status.state["cgroup"])
    state = status.state
    state["phase"], state["ended_at"], state["tail"] = "ended", now(), listener.last_words(why)
    state["exit"], state["signal"] = (code, None) if code >= 0 else (None, -code)
    while not status.save() and os.path.isdir(order["folder"]):
        time.sleep(RETRY_S)


if __name__ == "__main__":
    main()
