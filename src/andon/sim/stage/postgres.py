"""A private PostgreSQL server for tests, benchmarks and trials: real, on loopback, gone at the end."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Generator, Mapping
from itertools import count
from pathlib import Path

import psycopg
from psycopg import sql

from andon.runtime.errors import AndonError
from andon.sim.stage.postgres_programs import AsUser, give, programs_for, run, server_user

_START_S = 30
_END_S = 20
_READY_LINE = 7
"""Where the server writes into its pid file that it takes connections."""


class PostgresServer:
    """One server and its data folder; commits are durable, as by default."""

    def __init__(self, programs: Path, folder: Path, user: AsUser, settings: Mapping[str, str]) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"postgresql://andon@127.0.0.1:{port}/postgres"
        """A database of the server's superuser."""
        self._data, self._log, self._user = folder / "data", folder / "server.log", user
        options = {"listen_addresses": "127.0.0.1", "port": str(port), "unix_socket_directories": "", **settings}
        self._command = [str(programs / "postgres"), "-D", str(self._data)]
        self._command += [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = count(1)

    @classmethod
    @contextlib.contextmanager
    def started(cls, settings: Mapping[str, str] | None = None) -> Generator["PostgresServer"]:
        """A server with a new data folder; at the end both are gone.

        `settings` are server parameters, as `{"max_connections": "50"}`. Raises Refused when the
        programs are not there, and AndonError when the server does not start.
        """
        user = server_user()
        folder = Path(tempfile.mkdtemp(prefix="andon-postgres-"))
        try:
            folder.chmod(0o755)
            data = folder / "data"
            data.mkdir(mode=0o700)
            give(data, user)
            programs = programs_for(user, folder)
            initdb = [programs / "initdb", "-D", data, "-U", "andon", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
            run(initdb, user, folder)
            server = cls(programs, folder, user, settings or {})
            server.start()
            try:
                yield server
            finally:
                server.stop()
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def fresh_database(self, *, template: str = "template0", name: str | None = None) -> str:
        """Makes an empty database, or a copy of the one named `template`, and gives its address."""
        name = name or f"andon_{os.getpid()}_{next(self._numbers)}"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement)
        return f"{self.url.rpartition('/')[0]}/{name}"

    def drop_database(self, url: str) -> None:
        """Removes a database that `fresh_database` made, and ends the connections to it."""
        name = sql.Identifier(url.rpartition("/")[2])
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Ends the server: SIGINT in order; SIGQUIT at once, with recovery at its next start."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(how)
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait()

    def start(self) -> None:
        """Starts it, again on the same address and data. Raises AndonError with its last words."""
        with self._log.open("ab") as log:
            process = self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._log.parent,
                start_new_session=True,
                **self._user,
            )
        for _ in range(_START_S * 20):
            if process.poll() is not None:
                raise AndonError(f"PostgreSQL did not start: {self._log.read_text()[-1500:]}")
            with contextlib.suppress(OSError, IndexError):
                if (self._data / "postmaster.pid").read_text().splitlines()[_READY_LINE].strip() == "ready":
                    return
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
        self.stop(signal.SIGQUIT)
        raise AndonError(f"PostgreSQL was not ready within {_START_S} s: {self._log.read_text()[-1500:]}")
