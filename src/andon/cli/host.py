"""`andon host add|remove|cordon|uncordon NAME --reason TEXT`: changes of one host, as an operator."""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import quote

from cyclopts import Parameter

from andon.cli.exits import FINE
from andon.cli.options import ConfigFile, DataFolder, Json, Reason, ServerUrl, TokenFile
from andon.cli.output import plain, print_json
from andon.cli.reading import Reader, read
from andon.model.api import Changed, HostAdded, HostRemoved
from andon.rules.listen_address import is_on_this_machine

T = TypeVar("T")
Name = Annotated[str, Parameter(help="The host's name.")]
Pools = Annotated[
    list[str] | None,
    Parameter(name="--pool", negative="", help="A pool that it will serve; may be given again for another."),
]


def host_add(
    name: Name,
    /,
    *,
    reason: Reason,
    pool: Pools = None,
    config: ConfigFile = None,
    data: DataFolder = None,
    server: ServerUrl = None,
    token_file: TokenFile = None,
    json: Json = False,
) -> int:
    """Make a one-use token, good for 15 minutes, and print the line to run on the new host."""
    body = {"name": name, "reason": reason, "pools": pool or []}
    answer, added = _change("/api/v1/hosts", body, HostAdded, config, data, server, token_file)
    line = enrolment_line(added, pool or [])
    if json:
        print_json({**answer, "command": line})
        return FINE
    until = f"{added.expires_at:%H:%M:%S} UTC"
    sys.stdout.write(
        f"Run this on {plain(name)}, in the folder of its configuration, before {until}; it works once:\n\n"
    )
    sys.stdout.write(f"    {line}\n\n")
    sys.stdout.write("Then start it with `andon agent run`, or as a service with `andon agent install`.\n")
    if is_on_this_machine(added.server):
        sys.stderr.write(
            f"andon: another machine cannot reach {added.server}. Set [server] public_url and listen there.\n"
        )
    return FINE


def host_remove(
    name: Name,
    /,
    *,
    reason: Reason,
    config: ConfigFile = None,
    data: DataFolder = None,
    server: ServerUrl = None,
    token_file: TokenFile = None,
    json: Json = False,
) -> int:
    """Revoke a host's token. Its jobs go on, and its history stays."""
    answer, removed = _change(_path(name, "remove"), {"reason": reason}, HostRemoved, config, data, server, token_file)
    if json:
        print_json(answer)
        return FINE
    sys.stdout.write(f"Host {plain(name)} is removed; its token opens nothing any more.\n")
    if removed.jobs:
        sys.stdout.write(f"{_count(len(removed.jobs))} there: {', '.join(map(str, removed.jobs[:20]))}.\n")
    return FINE


def host_cordon(
    name: Name,
    /,
    *,
    reason: Reason,
    config: ConfigFile = None,
    data: DataFolder = None,
    server: ServerUrl = None,
    token_file: TokenFile = None,
    json: Json = False,
) -> int:
    """Give a host no new jobs. What runs there goes on."""
    answer, _ = _change(_path(name, "cordon"), {"reason": reason}, Changed, config, data, server, token_file)
    return _said(answer, f"Host {plain(name)} gets no new jobs.", json=json)


def host_uncordon(
    name: Name,
    /,
    *,
    reason: Reason,
    config: ConfigFile = None,
    data: DataFolder = None,
    server: ServerUrl = None,
    token_file: TokenFile = None,
    json: Json = False,
) -> int:
    """Give a host new jobs again."""
    answer, _ = _change(_path(name, "uncordon"), {"reason": reason}, Changed, config, data, server, token_file)
    return _said(answer, f"Host {plain(name)} gets new jobs again.", json=json)


def enrolment_line(added: HostAdded, pools: list[str]) -> str:
    """The line to paste on the new host. The token goes through a pipe: a command line can be read by all."""
    words = ["andon", "agent", "enrol", "--name", added.name, "--server", added.server]
    for pool in pools:
        words += ["--pool", pool]
    return f"printf '%s\\n' {shlex.quote(added.token)} | {shlex.join(words)}"


def _path(name: str, change: str) -> str:
    return f"/api/v1/hosts/{quote(name, safe='')}/{change}"


def _change(
    path: str,
    body: Mapping[str, Any],
    kind: type[T],
    config: Path | None,
    data: Path | None,
    server: str | None,
    token_file: Path | None,
) -> tuple[dict[str, Any], T]:
    async def work(reader: Reader) -> tuple[dict[str, Any], T]:
        answer = await reader.change(path, body)
        return answer, reader.typed(answer, kind)

    return read(work, config=config, data=data, server=server, token_file=token_file, to_change=True)


def _said(answer: Mapping[str, Any], sentence: str, *, json: bool) -> int:
    if json:
        print_json(answer)
    else:
        sys.stdout.write(f"{sentence}\n")
    return FINE


def _count(jobs: int) -> str:
    return "1 job goes on" if jobs == 1 else f"{jobs} jobs go on"
