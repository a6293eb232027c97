"""`andon agent adopt`: takes persistent runners into Andon's care as they are, or gives them back."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from andon.agent.adoption.adopting import AdoptionPlan, Wanted, carry_out, plan_adoption
from andon.agent.adoption.guards import Guard
from andon.agent.adoption.records import Records, Stage
from andon.agent.adoption.undoing import UndoPlan, plan_undo, undo
from andon.agent.installed_programs import install_programs
from andon.agent.interpreter import find_interpreter
from andon.agent.layout import Root, root_of
from andon.agent.root_lock import live_agent_pid
from andon.cli.configuration import load_for_agent
from andon.cli.exits import FINDING, FINE, UNUSABLE
from andon.cli.options import ConfigFile, DataFolder, Json
from andon.cli.output import plain, print_json
from andon.model.config import Config
from andon.runtime.clock import SystemClock
from andon.runtime.errors import Refused

_SHOWN_LINES = 40


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one folder."""

    folder: str
    outcome: str
    """planned, adopted, unchanged, undone, stopped (a guard that deletes), refused."""
    exit: int
    runner: str | None = None
    slot: int | None = None
    changes: tuple[str, ...] = ()
    restart: bool = False
    how: str | None = None
    """How the restart comes about."""
    guards: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    error: str | None = None


def agent_adopt(
    *dirs: Path,
    plan: Annotated[bool, Parameter(name="--plan", negative="")] = False,
    undo: Annotated[bool, Parameter(name="--undo", negative="")] = False,
    to_jit: Annotated[bool, Parameter(name="--to-jit", negative="")] = False,
    chain: Annotated[bool, Parameter(name="--chain", negative="")] = False,
    replace: Annotated[bool, Parameter(name="--replace", negative="")] = False,
    pool: str | None = None,
    config: ConfigFile = None,
    data: DataFolder = None,
    json: Json = False,
) -> int:
    """Adopt persistent runners as they are: no new registration, no running job disturbed.

    Exit code 1: a hook of the folder deletes or prunes, and nobody decided about it. 2: no runner.

    Parameters
    ----------
    dirs
        Folders in which config.sh was run.
    plan
        Only read: say what would change, which runners need a restart, which hooks were found.
    undo
        Give them back: .env byte for byte as it was.
    to_jit
        Make a JIT slot of each folder at its next idle moment.
    pool
        Whose JIT slot, with --to-jit. Needed where the configuration names several pools.
    chain
        Run a folder's own hook behind ours, also one that deletes.
    replace
        Run ours instead of the folder's own hook.
    """
    if not dirs:
        raise Refused("No folder is named. Name the folders of the runners, as `andon agent adopt /opt/runner-1`.")
    if chain and replace:
        raise Refused("--chain and --replace exclude each other. Give one of them.")
    if undo and (chain or replace or to_jit):
        raise Refused("--undo takes no --chain, --replace or --to-jit. Leave them out.")
    loaded = load_for_agent(config, data)
    agent = loaded.config.agent
    assert agent is not None
    root = root_of(agent, loaded.data)
    records = Records(root)
    wanted = Wanted(
        host=agent.name,
        interpreter=find_interpreter(for_other_users=os.geteuid() == 0),
        chain=chain,
        replace=replace,
        to_jit=_pool(loaded.config, pool) if to_jit else None,
    )
    if plan:
        outcomes = [_one(each, records, wanted, undoing=undo, plan_only=True) for each in dirs]
    else:
        root.make()
        install_programs(root, wanted.interpreter)
        with records.locked():
            outcomes = [_one(each, records, wanted, undoing=undo, plan_only=False) for each in dirs]
    if json:
        print_json({"folders": outcomes})
    else:
        for outcome in outcomes:
            _print(outcome)
    return max(outcome.exit for outcome in outcomes)


def _pool(config: Config, given: str | None) -> str:
    """The pool of the JIT slots that are made. Raises Refused when it cannot be told."""
    groups = config.agent.slots if config.agent is not None else ()
    known = sorted({pool.name for pool in config.pool} or {group.pool for group in groups})
    if given is None and len(known) == 1:
        return known[0]
    if given is None:
        raise Refused(f"--to-jit: of which pool? Give --pool NAME; known are: {', '.join(known) or 'none'}.")
    if config.pool and given not in known:
        raise Refused(f'--pool: the pool "{given}" is not configured. Use one of: {", ".join(known)}.')
    return given


def _one(given: Path, records: Records, wanted: Wanted, *, undoing: bool, plan_only: bool) -> Outcome:
    """One folder; what is wrong with it does not stop the others."""
    try:
        if undoing:
            return _undo(given, records, plan_only=plan_only)
        return _adopt(given, records, wanted, plan_only=plan_only)
    except Refused as refused:
        return _refused(given, str(refused))
    except OSError as error:
        what = (
            f"{given}: it could not be changed ({error.strerror}, {error.filename}); see --plan for what is left to do."
        )
        return _refused(given, what)


def _refused(given: Path, what: str) -> Outcome:
    # A path may hold bytes that are no text.
    name, said = (os.fsencode(text).decode("utf-8", "replace") for text in (str(given), what))
    return Outcome(folder=name, outcome="refused", exit=UNUSABLE, error=said)


def _adopt(given: Path, records: Records, wanted: Wanted, *, plan_only: bool) -> Outcome:
    found = plan_adoption(given, records, wanted)
    outcome = Outcome(
        folder=str(found.folder.path),
        outcome="planned",
        exit=FINE,
        runner=found.folder.runner,
        slot=found.slot,
        changes=found.changes,
        restart=found.restart,
        how=_how(found.folder.unit, records.root) if found.restart else None,
        guards=tuple(_guard(guard, found) for guard in found.guards),
        notes=_notes(found, to_jit=wanted.to_jit is not None),
    )
    if found.undecided:
        names = ", ".join(sorted({guard.path for guard in found.undecided}))
        what = (
            f"{given}: its hook {names} deletes or prunes; nothing was changed. "
            "Give --chain to keep running it behind ours, or --replace to run ours alone."
        )
        return msgspec.structs.replace(outcome, outcome="stopped", exit=FINDING, error=what)
    if plan_only:
        return outcome
    done = found.record is not None and found.record.stage is Stage.ADOPTED and not found.changes
    carry_out(found, records, wanted, SystemClock().now())
    return msgspec.structs.replace(outcome, outcome="unchanged" if done else "adopted")


def _undo(given: Path, records: Records, *, plan_only: bool) -> Outcome:
    found = plan_undo(given, records)
    if not plan_only:
        undo(found, records)
    return Outcome(
        folder=str(found.folder),
        outcome="planned" if plan_only else "undone",
        exit=FINE,
        runner=found.adoption.runner,
        slot=found.adoption.slot,
        changes=_undo_changes(found),
        restart=found.restart,
        how=_how(found.adoption.unit, records.root) if found.restart else None,
        notes=found.notes,
    )


def _undo_changes(found: UndoPlan) -> tuple[str, ...]:
    if found.env.content == found.old_env:
        return ()
    return (".env is removed" if found.old_env is None else ".env is put back",)


def _how(unit: str | None, root: Root) -> str:
    if live_agent_pid(root.path) is not None:
        return "the agent does it as soon as no job runs there"
    by_hand = f"systemctl restart {unit}" if unit else "end its listener with Ctrl-C and start run.sh"
    return f"no agent lives on {root.path}; one that is started does it as soon as no job runs, or by hand: {by_hand}"


def _notes(found: AdoptionPlan, *, to_jit: bool) -> tuple[str, ...]:
    notes: list[str] = []
    if found.sight.workers:
        notes.append("a job runs there now; it goes on undisturbed")
    if found.sight.unclear:
        notes.append(found.sight.unclear)
    if not found.sight.listeners:
        notes.append("its listener does not run; the agent leaves it so until somebody has started it once")
    if to_jit:
        unit = f" and disable {found.folder.unit}" if found.folder.unit else ""
        notes.append(f"remove the runner {found.folder.runner} at GitHub once its listener is stopped{unit}")
    if found.folder.ephemeral:
        notes.append("this runner is ephemeral: it ends after one job and is not started again")
    return tuple(notes)


def _guard(guard: Guard, found: AdoptionPlan) -> dict[str, Any]:
    decided = found.foreign.get(guard.event)
    return {
        "event": guard.event,
        "path": guard.path,
        "source": guard.source,
        "deletes": [msgspec.to_builtins(one) for one in guard.deletions],
        "decision": None if decided is None else "chain" if decided.chained else "replace",
        "text": guard.text,
    }


def _print(outcome: Outcome) -> None:
    if outcome.runner is None:
        sys.stderr.write(f"andon: {plain(outcome.error)}\n")
        return
    sys.stdout.write(
        f"{plain(outcome.folder)}: {outcome.outcome}, runner {plain(outcome.runner)}, slot {outcome.slot}\n"
    )
    lines = [*outcome.changes, *(f"note: {note}" for note in outcome.notes)]
    if outcome.restart:
        lines.append(f"restart: {outcome.how}")
    for guard in outcome.guards:
        lines += _guard_lines(guard)
    for line in lines:
        sys.stdout.write(f"  {plain(line)}\n")
    if outcome.error is not None:
        sys.stdout.flush()
        sys.stderr.write(f"andon: {plain(outcome.error)}\n")


def _guard_lines(guard: dict[str, Any]) -> list[str]:
    decision = {"chain": "it is chained behind ours", "replace": "it is replaced by ours"}.get(guard["decision"], "")
    lines = [f"hook {guard['path']} ({guard['event']}, from {guard['source']}){': ' if decision else ''}{decision}"]
    for found in guard["deletes"]:
        at = f"line {found['line']}: " if found["line"] else ""
        lines.append(f"  {at}{found['why']}: {found['text']}" if found["text"] else f"  {at}{found['why']}")
    text = (guard["text"] or "").splitlines()
    lines += [f"  | {line}" for line in text[:_SHOWN_LINES]]
    if len(text) > _SHOWN_LINES:
        lines.append(f"  | ({len(text) - _SHOWN_LINES} more lines)")
    return lines
