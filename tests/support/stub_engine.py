"""A container engine's part in a job, without images: a stub `docker` for PATH, and who does what it is told.

As the real one it is a daemon of root, no process of the job: what it starts is no child of the step, is not
in the job's session or cgroup, and does not end with them. A container is a mount namespace with a root of its
own, in which only the system's programs and what `-v` names are to be seen, and a user namespace whose root is
`remap` (an engine with userns-remap), or everybody is himself. A source of `-v` that is missing is made as root,
as Docker does (incident P5); `made` names them.
"""

import contextlib
import os
import shutil
import socketserver
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

_STUB = r"""#!/bin/bash
exec 3<> /dev/tcp/127.0.0.1/PORT
printf '%d\n' "$#" >&3
printf '%s\0' "$@" >&3
read -r code <&3
cat <&3
exit "$code"
"""
_ROOT = r"""
set -e
root=$1; shift
mount -t tmpfs none "$root"
for each in bin sbin lib lib64 usr etc dev proc; do
  if [ -L "/$each" ]; then cp -P "/$each" "$root/$each"
  elif [ -d "/$each" ]; then mkdir "$root/$each"; mount --rbind "/$each" "$root/$each"; fi
done
mkdir -m 1777 "$root/tmp"
while [ "$#" -gt 0 ]; do
  mkdir -p "$root$2"; mount --bind "$1" "$root$2"
  [ "$3" != ro ] || mount -o remount,bind,ro "$root$2"
  shift 3
done
mkdir "$root/.old"; pivot_root "$root" "$root/.old"; cd /; umount -l /.old; rmdir /.old
exec unshare --user sh -c 'echo ready; exec tail -f /dev/null'
"""
_WITH_A_VALUE = {
    "-v": "volume",
    "--volume": "volume",
    "-e": "env",
    "-w": "workdir",
    "--workdir": "workdir",
    "--user": "user",
    "--name": "name",
    "--entrypoint": "entrypoint",
}


def why_not() -> str | None:
    """Why no container can be played on this machine; None when one can."""
    if os.geteuid() != 0:
        return "kernel: mount namespaces need root"
    if not all(map(shutil.which, ("unshare", "nsenter"))):
        return "unshare and nsenter (util-linux) are not installed"
    probe = (
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        "mount -t tmpfs none /mnt && unshare -U true",
    )
    done = subprocess.run(probe, capture_output=True, text=True, check=False)
    return f"kernel: no mount and user namespaces here: {done.stderr.strip()}" if done.returncode else None


@dataclass
class Told:
    """The words of one command."""

    options: dict[str, list[str]] = field(default_factory=dict)
    rest: list[str] = field(default_factory=list)

    def one(self, name: str, default: str) -> str:
        return self.options.get(name, [default])[-1]

    @property
    def volumes(self) -> list[tuple[str, str, str]]:
        parts = [volume.split(":") for volume in self.options.get("volume", [])]
        return [(part[0], part[1], part[2] if len(part) > 2 else "rw") for part in parts]


def _read(words: list[str]) -> Told:
    told, at = Told(), 0
    while at < len(words) and words[at].startswith("-"):
        if words[at] in _WITH_A_VALUE:
            told.options.setdefault(_WITH_A_VALUE[words[at]], []).append(words[at + 1])
            at += 1
        at += 1
    told.rest = words[at:]
    return told


class StubEngine:
    """Use as a context manager: when it is left, no container and no mount is left."""

    def __init__(self, folder: Path, *, remap: int | None = None) -> None:
        self.calls: list[list[str]] = []
        self.made: list[str] = []
        """Sources that were missing."""
        self.owners: dict[str, int] = {}
        """Whose each source was before the container began; not those of `made`."""
        self._remap = remap
        self._roots = folder / "roots"
        self._roots.mkdir(parents=True)
        self._created: dict[str, Told] = {}
        self._alive: dict[str, subprocess.Popen[str]] = {}
        self._commands: set[subprocess.Popen[str]] = set()
        self._server = _Server(self._do)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self.bin = folder / "bin"
        self.bin.mkdir()
        (self.bin / "docker").write_text(_STUB.replace("PORT", str(self._server.server_address[1])))
        (self.bin / "docker").chmod(0o755)

    def __enter__(self) -> "StubEngine":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._alive):
            self.remove(name)
        for command in list(self._commands):
            command.kill()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def remove(self, name: str) -> None:
        """Ends a container: its first process, and with it the last that holds its mounts."""
        process = self._alive.pop(name)
        process.kill()
        process.communicate()

    def _do(self, words: list[str]) -> tuple[int, str]:
        self.calls.append(words)
        verb, told = words[0], _read(words[1:])
        name = told.one("name", f"c{len(self.calls)}")
        if verb == "create":
            self._created[name] = told
            return 0, f"{name}\n"
        if verb == "start":
            self._start(told.rest[0], self._created[told.rest[0]])
            return 0, f"{told.rest[0]}\n"
        if verb == "exec":
            return self._run_in(told.rest[0], told, told.rest[1:])
        if verb == "run":
            self._start(name, told)
            try:
                return self._run_in(name, told, told.rest[1:])
            finally:
                self.remove(name)
        return 125, f"docker: '{verb}' is not a docker command.\n"

    def _start(self, name: str, told: Told) -> None:
        for source, _, _ in told.volumes:
            try:
                self.owners[source] = Path(source).stat().st_uid
            except FileNotFoundError:
                Path(source).mkdir(parents=True)
                self.made.append(source)
        root = self._roots / name
        root.mkdir()
        volumes = [word for volume in told.volumes for word in volume]
        process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", _ROOT, "sh", str(root), *volumes],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._alive[name] = process
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        users = f"0 {self._remap} 1" if self._remap is not None else "0 0 65536"
        for kind in ("uid_map", "gid_map"):
            Path(f"/proc/{process.pid}/{kind}").write_text(users)

    def _run_in(self, name: str, told: Told, command: list[str]) -> tuple[int, str]:
        user, _, group = told.one("user", "0:0").partition(":")
        inside = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", *told.options.get("env", ())]
        inside += ["sh", "-c", 'cd "$0" && exec "$@"', told.one("workdir", "/"), *command]
        enter = [
            "nsenter",
            "--target",
            str(self._alive[name].pid),
            "--mount",
            "--user",
            "-S",
            user,
            "-G",
            group or user,
        ]
        process = subprocess.Popen([*enter, *inside], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._commands.add(process)
        said = process.communicate()[0]
        self._commands.discard(process)
        return process.returncode, said


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, do: Callable[[list[str]], tuple[int, str]]) -> None:
        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                count = int(self.rfile.readline())
                words, word = list[str](), bytearray()
                while len(words) < count:
                    byte = self.rfile.read(1)
                    if byte == b"\0":
                        words.append(word.decode())
                        word.clear()
                    else:
                        word += byte
                try:
                    code, said = do(words)
                except Exception as error:
                    code, said = 125, f"docker: {error!r}\n"
                # A client that was ended meanwhile hears nothing.
                with contextlib.suppress(OSError):
                    self.wfile.write(f"{code}\n{said}".encode())

        super().__init__(("127.0.0.1", 0), Handler)
