"""A pooler in front of a PostgreSQL server that lends a session for one transaction at a time."""

import contextlib
import itertools
import socket
import struct
import threading
from collections.abc import Iterator

_NO = b"N"
_QUESTIONS = (80877103, 80877104)
"""Requests for TLS and for GSS encryption."""
WAIT_S = 3
"""How long a client waits for a session before its connection is ended."""


def _take(link: socket.socket, length: int) -> bytes:
    found = b""
    while len(found) < length:
        part = link.recv(length - len(found))
        if not part:
            raise ConnectionError
        found += part
    return found


def _message(link: socket.socket) -> bytes:
    head = _take(link, 5)
    return head + _take(link, struct.unpack("!I", head[1:])[0] - 4)


def _startup(client: socket.socket) -> bytes:
    while True:
        head = _take(client, 8)
        length, code = struct.unpack("!II", head)
        if code not in _QUESTIONS:
            return head + _take(client, length - 8)
        client.sendall(_NO)


class _Session:
    """One session of the server; whoever holds the lock has a transaction in it."""

    def __init__(self, port: int, startup: bytes) -> None:
        self.lock = threading.Lock()
        self.link = socket.create_connection(("127.0.0.1", port))
        self.link.sendall(startup)
        self.welcome = b"".join(self.answers())

    def answers(self) -> Iterator[bytes]:
        """What the server says up to and with "ready for query"."""
        while True:
            said = _message(self.link)
            yield said
            if said[:1] == b"Z":
                return


class TransactionPooler:
    """`sessions` of them, lent in turn. They are begun as the first client asked for its own."""

    def __init__(self, port: int, sessions: int) -> None:
        self._port, self._many = port, sessions
        self._sessions: list[_Session] = []
        self._turns = itertools.count()
        self._making = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._clients: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        for link in (self._listener, *self._clients, *(each.link for each in self._sessions)):
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
            link.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._clients.append(client)
                self._threads.append(threading.Thread(target=self._serve, args=(client,)))
                self._threads[-1].start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            startup = _startup(client)
            with self._making:
                while len(self._sessions) < self._many:
                    self._sessions.append(_Session(self._port, startup))
            client.sendall(self._sessions[0].welcome)
            while True:
                first = _message(client)
                if first[:1] == b"X":
                    return
                session = self._sessions[next(self._turns) % self._many]
                if not session.lock.acquire(timeout=WAIT_S):
                    client.shutdown(socket.SHUT_RDWR)
                    return
                try:
                    self._transaction(client, session, first)
                finally:
                    session.lock.release()

    def _transaction(self, client: socket.socket, session: _Session, asked: bytes) -> None:
        while True:
            session.link.sendall(asked)
            if asked[:1] in b"QS":
                said = list(session.answers())
                client.sendall(b"".join(said))
                if said[-1][-1:] == b"I":
                    return
            asked = _message(client)
