"""The agent's two doors below its root: a stream that answers questions, and datagrams of shims.

A socket's path may have 107 bytes only, so both are reached through their folder's descriptor.
"""

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from typing import Any

import msgspec

from andon.runtime.errors import Refused

MAX_LINE_BYTES = 64 * 1024
_PATIENCE_S = 3.0


@contextlib.contextmanager
def _short(path: Path) -> Generator[str]:
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def bind(path: Path, kind: socket.SocketKind, mode: int) -> socket.socket:
    """A bound socket at `path`; one that an earlier agent left is replaced. Raises OSError."""
    path.unlink(missing_ok=True)
    door = socket.socket(socket.AF_UNIX, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        with _short(path) as name:
            door.bind(name)
        path.chmod(mode)
    except OSError:
        door.close()
        raise
    return door


def ask_agent(socket_path: Path, question: dict[str, Any]) -> dict[str, Any]:
    """Asks the living agent one question. Raises Refused when none answers."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door, _short(socket_path) as name:
            door.settimeout(_PATIENCE_S)
            door.connect(name)
            door.sendall(msgspec.json.encode(question) + b"\n")
            with door.makefile("rb") as answers:
                line = answers.readline(1 << 20)
        return msgspec.json.decode(line, type=dict[str, Any])
    except (OSError, msgspec.MsgspecError) as error:
        raise Refused(f"{socket_path}: no agent answers there ({error}). Start it with `andon agent run`.") from None


class NudgeDoor:
    """Receives the datagrams of shims; what they carry means nothing, that they came does."""

    def __init__(self, path: Path, nudge: Callable[[], None]) -> None:
        self._nudge = nudge
        # Only our own user may write here, which is whom shims run as.
        self._door = bind(path, socket.SOCK_DGRAM, 0o600)
        asyncio.get_running_loop().add_reader(self._door, self._read)

    def _read(self) -> None:
        try:
            while True:
                self._door.recv(16)
        except OSError:
            self._nudge()

    def close(self) -> None:
        """Receives nothing any more."""
        asyncio.get_running_loop().remove_reader(self._door)
        self._door.close()


class QuestionDoor:
    """One JSON line each way: `{"v": 1, "status": true}` gets `{"v": 1, "status": {...}}`.

    A request with `hook` goes to `hooks` with its connection (agent/hooks); None means no answer. One with `disk`
    goes to `disk` with the user id of whoever asks.
    """

    def __init__(
        self,
        status: Callable[[], dict[str, Any]],
        hooks: Callable[[bytes, socket.socket], Awaitable[msgspec.Struct | None]] | None = None,
        disk: Callable[[dict[str, Any], int], Awaitable[dict[str, Any]]] | None = None,
    ) -> None:
        self._status, self._hooks, self._disk = status, hooks, disk
        self._server: asyncio.Server | None = None

    async def open(self, path: Path) -> None:
        """Listens from now on. Every slot's user may connect. Raises OSError."""
        door = bind(path, socket.SOCK_STREAM, 0o666)
        self._server = await asyncio.start_unix_server(self._serve, sock=door, limit=MAX_LINE_BYTES)

    async def close(self) -> None:
        """Answers nobody any more."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                answer = await self._hear(reader, writer)
                if answer is not None:
                    writer.write(msgspec.json.encode(answer) + b"\n")
                    await writer.drain()
        except (OSError, ValueError, TimeoutError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _hear(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> msgspec.Struct | dict[str, Any] | None:
        try:
            line = await reader.readline()
        except ValueError:
            # The reader stopped taking more at its limit, however much was meant to come.
            error = f"That is longer than {MAX_LINE_BYTES // 1024} KiB. Send one line of at most that."
            return {"v": 1, "ok": False, "error": error}
        if not line:
            return None
        try:
            question = msgspec.json.decode(line, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return {"v": 1, "ok": False, "error": "That is no line of JSON with an object. Send one."}
        if "hook" in question and self._hooks is not None:
            # A descriptor of our own: event loops hand out their sockets with less than we ask for.
            with socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno())) as door:
                return await self._hooks(line, door)
        if "disk" in question and self._disk is not None:
            return await self._disk(question, _peer(writer.get_extra_info("socket")))
        return self._answer(question)

    def _answer(self, question: dict[str, Any]) -> dict[str, Any]:
        if question.get("status"):
            return {"v": 1, "status": self._status()}
        return {"v": 1, "ok": False, "error": 'Unknown question. Known: {"v": 1, "status": true}.'}


def _peer(door: socket.socket) -> int:
    """The user id of the process at the other end, as it was when it connected."""
    _, uid, _ = struct.unpack("iii", door.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("iii")))
    return int(uid)
