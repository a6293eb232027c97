"""`andon disk plan|sweep|who`: what the guard of this host would do, does when told, and has done.

They ask the agent that lives on this machine. `who` answers from its journal, which also knows what others deleted.
"""

import asyncio
import os
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from andon.agent.disk.questions import DiskPlan, Planned, Touched
from andon.agent.layout import Root, root_of
from andon.agent.root_lock import live_agent_pid
from andon.agent.sockets import ask_agent
from andon.cli.configuration import load_for_agent
from andon.cli.exits import FINDING, FINE
from andon.cli.options import ConfigFile, DataFolder, Json
from andon.cli.output import make_console, plain, print_json, print_table, shown_time, strong, word
from andon.rules.size_words import size
from andon.runtime.clock import SystemClock
from andon.runtime.errors import Refused

_T = TypeVar("_T")
_STAGES = {
    "intended": "may have gone: the agent was ended in the middle",
    "moved": "in the trash",
    "deleted": "deleted",
    "seen": "not by us",
}
_POLL_S = 0.5
_PATIENCE_S = 600.0


def disk_plan(*, config: ConfigFile = None, data: DataFolder = None, json: Json = False) -> int:
    """What would go, in which order, and what pins the rest. Exit code 1: room is short, or bytes are nobody's."""
    plan = _plan(_root(config, data))
    if json:
        print_json(msgspec.to_builtins(plan))
    else:
        _print_plan(make_console(), plan)
    return FINDING if any(one.level != "ok" or one.unknown for one in plan.filesystems) else FINE


def disk_sweep(*, config: ConfigFile = None, data: DataFolder = None, json: Json = False) -> int:
    """Take away now what may go, and empty the trash; a job's own stays. Exit code 1: nothing was freed."""
    root = _root(config, data)
    console = make_console()
    before = _plan(root)
    _ask(root, {"v": 1, "disk": "sweep"})
    if not json:
        console.print(f"Sweeping: {sum(len(one.going) for one in before.filesystems)} directories may go.")
    after = asyncio.run(_wait(root, before, None if json else console))
    freed = _free(after) - _free(before)
    if json:
        print_json({"freed": freed, "plan": msgspec.to_builtins(after)})
    else:
        left = sum(len(one.pinned) for one in after.filesystems)
        console.print(
            f"{size(max(0, freed))} more are free now; {left} directories are still used (see: andon disk plan)."
        )
    return FINE if freed > 0 or before == after else FINDING


def disk_who(
    path: Annotated[Path, Parameter(help="A file or directory on this host; it need not be there any more.")],
    /,
    *,
    config: ConfigFile = None,
    data: DataFolder = None,
    json: Json = False,
) -> int:
    """Who deleted it, or anything above or below it, and why. Exit code 1: nobody is known to have."""
    root = _root(config, data)
    asked = os.path.normpath(path.absolute())
    answer = _ask(root, {"v": 1, "disk": "who", "path": asked.encode("utf-8", "backslashreplace").decode()})
    touched = _typed(answer.get("touched"), list[Touched])
    if json:
        print_json({"path": asked, "items": msgspec.to_builtins(touched)})
    else:
        _print_who(make_console(), asked, touched, SystemClock().now())
    return FINE if touched else FINDING


def _root(config: Path | None, data: Path | None) -> Root:
    loaded = load_for_agent(config, data)
    assert loaded.config.agent is not None
    root = root_of(loaded.config.agent, loaded.data)
    if live_agent_pid(root.path) is None:
        raise Refused(f"{root.path}: no agent lives on this root. Start it with `andon agent run`.")
    return root


def _ask(root: Root, question: dict[str, Any]) -> dict[str, Any]:
    answer = ask_agent(root.socket, question)
    if answer.get("ok") is False:
        raise Refused(str(answer.get("error", "The agent refused.")))
    return answer


def _typed(value: object, kind: type[_T]) -> _T:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise Refused(f"The agent's answer does not fit ({error}). Is it of another version?") from None


def _plan(root: Root) -> DiskPlan:
    return _typed(_ask(root, {"v": 1, "disk": "plan"}).get("disk"), DiskPlan)


async def _wait(root: Root, before: DiskPlan, console: Console | None) -> DiskPlan:
    """Until the trash is empty and nothing more may go; says each step."""
    said = ""
    clock = SystemClock()
    until = clock.monotonic() + _PATIENCE_S
    while True:
        plan = _plan(root)
        going = sum(len(one.going) for one in plan.filesystems)
        line = f"{going} to go, {plan.in_trash} in the trash, {size(_free(plan) - _free(before))} freed"
        if console is not None and line != said:
            console.print(f"  {line}")
        said = line
        if (going == 0 and plan.in_trash == 0) or clock.monotonic() > until:
            return plan
        # Told again: what the keeper found only now waits in the trash for no minute either.
        _ask(root, {"v": 1, "disk": "sweep"})
        await clock.sleep(_POLL_S)


def _free(plan: DiskPlan) -> int:
    return sum(one.free for one in plan.filesystems)


def _print_plan(console: Console, plan: DiskPlan) -> None:
    if plan.guard != "act":
        console.print(f'The guard is switched to "{plain(plan.guard)}": nothing goes.')
    for one in plan.filesystems:
        _print_filesystem(console, one)
    if plan.in_trash:
        console.print(f"{plan.in_trash} in the trash; each goes a minute after it came there.")


def _print_filesystem(console: Console, one: Planned) -> None:
    head = f"{size(one.free)} of {size(one.total)} free"
    if one.inodes:
        head += f", {one.inodes_free:,} of {one.inodes:,} inodes"
    if one.wanted:
        head += f"; {size(one.wanted)} are wanted"
    console.print(Text.assemble(strong(one.mount), "  ", word(one.level.value), "  ", plain(head)), soft_wrap=True)
    rows = [(each.path_class.value, str(each.count), size(each.bytes)) for each in one.classes]
    print_table(console, ("CLASS", "PATHS", "BYTES"), rows)
    if one.going:
        console.print("Would go when its room is needed, in this order:")
        print_table(
            console,
            ("PATH", "BYTES", "OF"),
            [(strong(each.path), size(each.bytes), plain(each.owner)) for each in one.going],
        )
    if one.pinned:
        console.print("Stays, because something may still use it:")
        print_table(
            console,
            ("PATH", "BYTES", "WHY"),
            [(strong(each.path), size(each.bytes), plain(each.by)) for each in one.pinned],
        )
    for path in one.unknown:
        console.print(
            Text.assemble(("nobody's  ", "yellow"), plain(path), "  never touched by us; move it, or remove it")
        )
    console.print()


def _print_who(console: Console, asked: str, touched: list[Touched], now: datetime) -> None:
    if not touched:
        console.print(f"Nothing is known to have deleted {plain(asked)}, or anything above or below it.")
        return
    for one in touched:
        gone = one.deletion
        when = shown_time(console, gone.at, now)
        console.print(Text.assemble(strong(gone.path), "  ", plain(_STAGES.get(one.stage, one.stage))), soft_wrap=True)
        facts = (
            ("when", when),
            ("by", gone.actor),
            ("why", gone.reason),
            ("bytes", size(gone.bytes)),
            ("lease", gone.lease),
        )
        for name, value in facts:
            console.print(Text.assemble((f"  {name:<7}", "dim"), plain(value)), soft_wrap=True)
        for line in gone.evidence:
            console.print(Text.assemble(("  seen   ", "dim"), plain(line)), soft_wrap=True)
