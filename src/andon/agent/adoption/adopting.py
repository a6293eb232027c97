"""Adopts one folder: works out what has to change, shows it, and carries it out.

Order of the writes, so that a stop between any two of them leaves either the old or the new `.env`
and a second adoption completes it: the record with the old bytes, our scripts, the `.env`, the record.
"""

import os
from datetime import datetime
from pathlib import Path

import msgspec

from andon.agent.adoption.env_file import EnvFile, clear_left, opened_folder, read_env, replace_env
from andon.agent.adoption.env_lines import HOOK_NAMES, values_in, with_values, without_values
from andon.agent.adoption.folder import RunnerFolder, is_utf8, read_folder
from andon.agent.adoption.guards import Guard, decide, find_guards
from andon.agent.adoption.processes import FolderSight, look_at_folders
from andon.agent.adoption.reach import closed_to, owner_of
from andon.agent.adoption.records import Adoption, ForeignHook, Records, Stage, StaleListener, digest
from andon.agent.adoption.scripts import MARK, HookCall, script_text
from andon.agent.process_identity import boot_id
from andon.runtime.errors import Refused


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator asked for beside the folder."""

    host: str
    interpreter: Path
    chain: bool = False
    replace: bool = False
    to_jit: str | None = None
    """The pool of the JIT slot that it is to become."""


class AdoptionPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What adopting a folder would do. Nothing was changed to find out."""

    folder: RunnerFolder
    slot: int
    sight: FolderSight
    env: EnvFile
    new_env: bytes
    guards: tuple[Guard, ...]
    foreign: dict[str, ForeignHook]
    undecided: tuple[Guard, ...]
    """Guards that delete and that nobody has decided about: nothing is written (P2)."""
    record: Adoption | None
    scripts: dict[str, str]
    """Their texts by event."""
    changes: tuple[str, ...]
    restart: bool
    """Whether its listener has to be started again before the change has an effect."""


def plan_adoption(given: Path, records: Records, wanted: Wanted) -> AdoptionPlan:
    """Only reads. Raises Refused for a folder that cannot be adopted."""
    folder = read_folder(given)
    key = folder.key
    if folder.path.is_relative_to(records.root.path.resolve()):
        raise Refused(f"{given}: this folder is one of the agent's own. Name a runner's that was here before.")
    closed = closed_to(records.script(key, "started"), folder.uid, folder.gid)
    if closed is not None:
        raise Refused(
            f"{given}: its user (uid {folder.uid}) may not enter {closed}, so no job would find its hooks below "
            f"{records.root.path}, and all would fail. Open that folder, or set [agent] root to one that is open."
        )
    if wanted.to_jit is not None and owner_of(folder.uid) is None:
        raise Refused(f"{given}: its owner (uid {folder.uid}) has no name on this machine. Give the folder to a user.")
    sight = look_at_folders(((folder.path, folder.uid),)).get(folder.path, FolderSight())
    record = records.read(key)
    try:
        with opened_folder(folder.path) as file:
            env = read_env(file)
    except Refused as refused:
        raise Refused(f"{given}: {refused}") from None
    guards = find_guards(key, env.content or b"", sight, records, record)
    for guard in guards:
        if not is_utf8(guard.path):
            raise Refused(f"{given}: its {guard.event} hook has a path that is no valid UTF-8. Correct its .env.")
        if guard.text is not None and guard.text.startswith(MARK):
            raise Refused(
                f"{given}: another agent adopted this folder; its hook is {guard.path}. "
                "Undo that first, with the other agent's configuration."
            )
    decided = {guard.event: decide(guard, chain=wanted.chain, replace=wanted.replace) for guard in guards}
    foreign = {event: hook for event, hook in decided.items() if hook is not None}
    slot = record.slot if record is not None else records.slot_for(key)
    call = HookCall(
        interpreter=wanted.interpreter,
        program=records.root.hooks / "hook.py",
        host=wanted.host,
        slot=slot,
        socket=records.root.socket,
    )
    scripts = {
        event: script_text(call, event, hook.path if (hook := foreign.get(event)) and hook.chained else None)
        for event in HOOK_NAMES
    }
    hooks = {name: os.fsencode(records.script(key, event)) for event, name in HOOK_NAMES.items()}
    if not is_utf8(str(records.root.path)) or any(b"\n" in path or b"\r" in path for path in hooks.values()):
        raise Refused(
            f"{records.root.path}: the agent's root has a line break in its name, or is no valid UTF-8, "
            "so that no runner could find its hooks. Set another [agent] root."
        )
    new_env = with_values(env.content or b"", hooks)
    return AdoptionPlan(
        folder=folder,
        slot=slot,
        sight=sight,
        env=env,
        new_env=new_env,
        guards=guards,
        foreign=foreign,
        undecided=tuple(guard for guard in guards if decided[guard.event] is None),
        record=record,
        scripts=scripts,
        changes=(*_changes(env, new_env, hooks), *_decisions(foreign, record, wanted)),
        restart=bool(sight.listeners) and (env.content != new_env or _is_stale(record, sight)),
    )


def _changes(env: EnvFile, new: bytes, hooks: dict[bytes, bytes]) -> tuple[str, ...]:
    if env.content == new:
        return ()
    there = values_in(env.content or b"")
    verb = "made" if env.content is None else "changed"
    lines = [
        f"{'sets' if name not in there else 'replaces'} {os.fsdecode(name)}={os.fsdecode(value)}"
        for name, value in hooks.items()
        if there.get(name) != value
    ]
    return (f".env is {verb}: {'; '.join(lines)}",)


def _decisions(foreign: dict[str, ForeignHook], record: Adoption | None, wanted: Wanted) -> tuple[str, ...]:
    before = record.foreign if record is not None else {}
    changes = [
        f"the hook {hook.path} ({event}) is {'chained behind ours' if hook.chained else 'replaced by ours'}"
        for event, hook in foreign.items()
        if before.get(event) != hook
    ]
    if wanted.to_jit is not None and (record is None or record.to_jit != wanted.to_jit):
        changes.append(f"at its next idle moment it becomes a JIT slot of the pool {wanted.to_jit}")
    return tuple(changes)


def _is_stale(record: Adoption | None, sight: FolderSight) -> bool:
    """Whether the listener that lives read its `.env` before an earlier adoption changed it."""
    stale = record.stale if record is not None else None
    return stale is not None and stale.boot_id == boot_id() and stale.process in sight.listeners


def carry_out(plan: AdoptionPlan, records: Records, wanted: Wanted, now: datetime) -> Adoption:
    """Adopts. Raises OSError; then the old `.env` or the new one stands there, and nothing between.

    A folder whose `.env` somebody edited since is adopted afresh: what stands there without our own
    lines is what undoing brings back.
    """
    folder, key = plan.folder, plan.folder.key
    before = _before(plan)
    stale = plan.record.stale if plan.record is not None else None
    if plan.restart and plan.env.content != plan.new_env:
        stale = StaleListener(process=plan.sight.listeners[0], boot_id=boot_id())
    adoption = Adoption(
        stage=Stage.BEGUN,
        folder=str(folder.path),
        slot=plan.slot,
        runner=folder.runner,
        agent_id=folder.agent_id,
        url=folder.url,
        work=str(folder.path / folder.work),
        uid=folder.uid,
        gid=folder.gid,
        unit=folder.unit,
        adopted_at=plan.record.adopted_at if plan.record is not None else now,
        env_before=before,
        env_after=digest(plan.new_env),
        hooks={event: str(records.script(key, event)) for event in HOOK_NAMES},
        foreign=plan.foreign,
        stale=stale,
        ephemeral=folder.ephemeral,
        to_jit=wanted.to_jit or (plan.record.to_jit if plan.record is not None else None),
    )
    finished = msgspec.structs.replace(adoption, stage=Stage.ADOPTED)
    if plan.record != finished:
        records.write(key, adoption)
    for event, text in plan.scripts.items():
        records.put_script(key, event, text)
    with opened_folder(folder.path) as file:
        clear_left(file)
        if plan.env.content != plan.new_env:
            replace_env(file, plan.env, plan.new_env)
    if plan.record != finished:
        records.write(key, finished)
    return finished


def _before(plan: AdoptionPlan) -> bytes | None:
    """What undoing brings back; None: no file."""
    content, record = plan.env.content, plan.record
    if content is None or record is None or record.stage is Stage.UNDONE:
        return content
    kept = record.env_before
    if digest(content) == record.env_after:
        return kept
    ours = {HOOK_NAMES[event]: os.fsencode(path) for event, path in record.hooks.items()}
    if not any(values_in(content).get(name) == path for name, path in ours.items()):
        return content
    rest = without_values(content, ours, kept or b"")
    return None if kept is None and not rest else rest
