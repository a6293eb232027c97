"""`andon status`: one screen that says whether all is well. Exit code 1 when something is found."""

from collections import Counter
from datetime import datetime
from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from andon.cli.exits import FINDING, FINE
from andon.cli.hosts import MOST_HOSTS
from andon.cli.job_rows import OPEN_STATES, WAITING_STATES, cause
from andon.cli.options import ConfigFile, DataFolder, Json, ServerUrl, TokenFile
from andon.cli.output import duration, make_console, plain, print_json, strong
from andon.cli.reading import Reader, read
from andon.model.api import HostView, JobView, StatusView, SwitchView
from andon.model.degraded import DegradedCode
from andon.model.host_states import HostObserved
from andon.runtime.clock import SystemClock

OK = 200
_MOST_JOBS = 10_000
_MOST_RAILS = 100
_ALARMING = {
    "stranded": ("job.stranded", "is stranded"),
    "unserved_label": ("label.unserved", "asks for labels that no pool serves"),
}


def status(
    *,
    config: ConfigFile = None,
    data: DataFolder = None,
    server: ServerUrl = None,
    token_file: TokenFile = None,
    json: Json = False,
) -> int:
    """Is the control plane ready, do the hosts report, does every job that waits wait for a reason?"""
    now = SystemClock().now()

    async def work(reader: Reader) -> dict[str, Any]:
        return await look(reader, now)

    found = read(work, config=config, data=data, server=server, token_file=token_file)
    if json:
        print_json(found)
    else:
        _print(make_console(), found)
    return FINDING if found["findings"] else FINE


async def look(reader: Reader, now: datetime) -> dict[str, Any]:
    """The object that --json prints (docs/commands.md)."""
    code, ready = await reader.get_any_status("/readyz")
    _, health = await reader.get_any_status("/healthz")
    answered, told = await reader.get_any_status("/api/v1/status")
    # A control plane of the version before has no such page.
    said = reader.typed(told, StatusView) if answered == OK else None
    degraded = said.degraded if said is not None else ()
    findings = [_not_ready(code, ready)] if code != OK else []
    away = any(each.code is DegradedCode.DATABASE_AWAY for each in degraded)
    findings += [
        _finding(f"degraded.{each.code.value}", each.text, "condition", each.subject)
        for each in degraded
        # Silent hosts are findings of their own, where they can be read.
        if away or each.code is not DegradedCode.AGENTS_AWAY
    ]
    about: dict[str, Any] = {
        "server": reader.url,
        "version": health.get("version"),
        "ready": code == OK,
        "degraded": msgspec.to_builtins(degraded),
        "sweep": msgspec.to_builtins(said.sweep if said is not None else ()),
    }
    if away:
        # Nothing else can be read; what is wrong is known all the same.
        unknown = dict.fromkeys(("hosts", "slots", "jobs", "rails", "oldest_waiting"))
        return {**about, **unknown, "findings": findings}
    hosts = reader.typed((await reader.list("/api/v1/hosts", limit=MOST_HOSTS))["items"], list[HostView])
    jobs: dict[str, list[JobView]] = {}
    for state in OPEN_STATES:
        page = await reader.list("/api/v1/jobs", {"state": state.value}, limit=_MOST_JOBS)
        jobs[state.value] = reader.typed(page["items"], list[JobView])
    switched, rails = await reader.get_any_status(f"/api/v1/switches?limit={_MOST_RAILS}")
    switches = reader.typed(rails.get("items"), list[SwitchView]) if switched == 200 else []
    waiting = [job for state in WAITING_STATES for job in jobs[state]]
    for host in hosts:
        if host.observed != HostObserved.REPORTING:
            last = f"last heard of {_ago(host.last_seen, now)}" if host.last_seen else "never heard of"
            text = f"Host {host.name} is {host.observed}: {last}."
            findings.append(_finding(f"host.{host.observed}", text, "host", host.name))
    for rail in switches:
        if rail.capped_since is not None:
            text = f"The rail {rail.name} reached its cap of {rail.cap} acts a minute {_ago(rail.capped_since, now)}."
            findings.append(_finding("rail.capped", text, "rail", rail.name))
    for job in waiting:
        if job.why is not None and cause(job) in _ALARMING:
            kind, words = _ALARMING[cause(job)]
            text = f"Job {job.id} ({job.repository}, {job.name}) {words}: {job.why.text}"
            findings.append(_finding(kind, text, "job", str(job.id)))
    return {
        **about,
        "hosts": {state.value: sum(host.observed == state for host in hosts) for state in HostObserved},
        "slots": dict(sorted(Counter(slot.state for host in hosts for slot in host.slots).items())),
        "jobs": {state: len(found) for state, found in jobs.items()},
        "rails": {rail.name: rail.mode for rail in switches if rail.mode != "act"},
        "oldest_waiting": _oldest(waiting, now),
        "findings": findings,
    }


def _not_ready(code: int, ready: dict[str, Any]) -> dict[str, Any]:
    missing = ready.get("missing") or f"/readyz answered {code}"
    return _finding("controlplane.not_ready", f"The control plane is not ready: {missing}", "server", "")


def _finding(code: str, text: str, kind: str, id: str) -> dict[str, Any]:
    return {"code": code, "text": text, "subject": {"kind": kind, "id": id}}


def _ago(at: datetime, now: datetime) -> str:
    return f"{duration((now - at).total_seconds())} ago"


def _oldest(waiting: list[JobView], now: datetime) -> dict[str, Any] | None:
    times = [(job.queued_at, job) for job in waiting if job.queued_at is not None]
    if not times:
        return None
    at, job = min(times, key=lambda pair: pair[0])
    return {
        "job": job.id,
        "repository": job.repository,
        "name": job.name,
        "queued_at": at,
        "waiting_s": max(0, int((now - at).total_seconds())),
        "cause": cause(job) or None,
        "text": job.why.text if job.why is not None else None,
    }


def _print(console: Console, found: dict[str, Any]) -> None:
    ready = Text("ready", style="green") if found["ready"] else Text("not ready", style="bold red")
    oldest = found["oldest_waiting"]
    lines: list[tuple[str, Text | str]] = [
        ("server", Text.assemble(plain(found["server"]), "  ", ready, f"  version {plain(found['version'])}")),
        ("hosts", _counts(found["hosts"])),
        ("slots", _counts(found["slots"])),
        ("jobs", _counts(found["jobs"])),
    ]
    if found["rails"]:
        lines.append(("rails", "  ".join(f"{plain(name)} {plain(mode)}" for name, mode in found["rails"].items())))
    lines += [("sweep", _period(each)) for each in found["sweep"] if each["period_s"] > each["wanted_s"]]
    if found["jobs"] is None:
        lines.append(("waiting", "unknown"))
    elif oldest is None:
        lines.append(("waiting", "nothing"))
    else:
        name = plain(f"{oldest['job']}  {oldest['repository']}  {oldest['name']}")
        lines.append(("oldest", f"{name}  for {duration(oldest['waiting_s'])}: {plain(oldest['text'])}"))
    for name, value in lines:
        console.print(Text.assemble((f"{name:<9}", "dim"), value), soft_wrap=True)
    for finding in found["findings"]:
        console.print(Text.assemble(("! ", "bold red"), strong(finding["text"])), soft_wrap=True)
    for each in found["degraded"]:
        console.print(Text.assemble((f"While {plain(each['code'])} lasts", "bold"), _since(each)), soft_wrap=True)
        for sentence in each["meanwhile"]:
            console.print(Text.assemble("  ", plain(sentence)), soft_wrap=True)
        console.print(Text.assemble("  It ends when ", plain(each["ends"]), "."), soft_wrap=True)


def _since(condition: dict[str, Any]) -> str:
    since = condition["since"]
    return f" (since {plain(since)}):" if since else ":"


def _period(sweep: dict[str, Any]) -> str:
    period, wanted = duration(sweep["period_s"]), duration(sweep["wanted_s"])
    return f"GitHub's lists of {plain(sweep['owner'])} are read every {period} instead of {wanted}"


def _counts(counts: dict[str, int] | None) -> str:
    if counts is None:
        return "unknown"
    return "  ".join(f"{plain(name)} {count}" for name, count in counts.items()) or "none"
