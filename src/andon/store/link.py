"""The connections to a PostgreSQL server: kept an eye on, and cut when nothing comes over them any more.

A server that stands still (a paused machine, processes that were stopped) has a kernel that goes on
answering for it, so no timeout of the connection ends the wait for its words. Whoever has to go on
all the same cuts the connection from outside: the one who waits gets an error at once.
"""

import contextlib
import os
import socket
import threading
import weakref
from collections.abc import Generator
from typing import Any

import psycopg
from psycopg.pq import ConnStatus
from sqlalchemy import Engine, event

from andon.store.database import Closed

LINK: dict[str, Any] = {
    "connect_timeout": 5,
    # A peer that is gone without a word is noticed, not waited for.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15000,
}
"""How a connection to the server is kept an eye on."""

AnyConnection = psycopg.Connection[Any] | psycopg.AsyncConnection[Any]


def cut(connection: AnyConnection) -> None:
    """Ends the connection below its user, from any thread. Nothing when it is closed already."""
    below = connection.pgconn
    try:
        number = below.socket
        handle = os.dup(number)
    except (psycopg.Error, OSError):
        return
    # Its user may have closed it meanwhile, and the number may be another file's by now. Once it was
    # ours after the copy was made, the copy is ours.
    if below.status == ConnStatus.BAD or below.socket != number:
        os.close(handle)
        return
    with socket.socket(fileno=handle) as link, contextlib.suppress(OSError):
        link.shutdown(socket.SHUT_RDWR)


class Links:
    """The connections of the engines that it watches."""

    def __init__(self) -> None:
        self._open: weakref.WeakSet[AnyConnection] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._over = False

    def watch(self, engine: Engine) -> None:
        """Adds an engine, before its first connection is made."""
        event.listen(engine, "do_connect", self._before_connect)
        event.listen(engine, "connect", self._connected)

    @contextlib.contextmanager
    def cut_after(self, seconds: float) -> Generator[None]:
        """What is still open when the block has taken so long is cut, and no connection is made again."""
        timer = threading.Timer(seconds, self._cut_all)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()

    def _cut_all(self) -> None:
        with self._lock:
            self._over = True
            for connection in list(self._open):
                cut(connection)

    def _before_connect(self, *_: object) -> None:
        if self._over:
            raise Closed

    def _connected(self, connection: AnyConnection, _record: object) -> None:
        with self._lock:
            self._open.add(connection)
            if self._over:
                cut(connection)
