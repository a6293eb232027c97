"""Takes an adoption back: the `.env` byte for byte, unless somebody else edited it since.

A listener keeps the environment that it started with, and a hook that the runner cannot find fails
the job. So while such a listener lives our scripts stay, and run what was there before us only.
"""

import contextlib
import os
from pathlib import Path

import msgspec

from andon.agent.adoption.env_file import EnvFile, clear_left, opened_folder, read_env, replace_env
from andon.agent.adoption.env_lines import HOOK_NAMES, without_values
from andon.agent.adoption.folder import key_of
from andon.agent.adoption.processes import FolderSight, look_at_folders
from andon.agent.adoption.records import Adoption, Records, Stage, StaleListener, digest
from andon.agent.adoption.scripts import script_text
from andon.agent.process_identity import boot_id
from andon.runtime.errors import Refused


class UndoPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What undoing would do."""

    folder: Path
    key: str
    adoption: Adoption
    sight: FolderSight
    env: EnvFile
    old_env: bytes | None
    """None: there was no file."""
    notes: tuple[str, ...]

    @property
    def restart(self) -> bool:
        """Whether a listener lives that may have our hooks in its environment."""
        return bool(self.sight.listeners)


def plan_undo(given: Path, records: Records) -> UndoPlan:
    """Only reads. Raises Refused for a folder that was never adopted, or whose kept bytes are gone."""
    folder = given.resolve()
    key = key_of(folder)
    adoption = records.read(key)
    if adoption is None or adoption.stage is Stage.UNDONE:
        raise Refused(f"{given}: this folder is not adopted below {records.root.path}. Is it another agent's?")
    try:
        with opened_folder(folder) as file:
            env = read_env(file)
    except FileNotFoundError:
        env = EnvFile(content=None, mode=0o644, uid=adoption.uid, gid=adoption.gid)
    except Refused as refused:
        raise Refused(f"{given}: {refused}") from None
    old, notes = _old(env.content, adoption)
    sight = look_at_folders(((folder, adoption.uid),)).get(folder, FolderSight())
    return UndoPlan(folder=folder, key=key, adoption=adoption, sight=sight, env=env, old_env=old, notes=notes)


def _old(content: bytes | None, adoption: Adoption) -> tuple[bytes | None, tuple[str, ...]]:
    kept = adoption.env_before
    if content is not None and digest(content) == adoption.env_after:
        return kept, ()
    if content is None or content == kept:
        return content, ("its .env holds nothing of ours any more; it is left as it is",)
    ours = {HOOK_NAMES[event]: os.fsencode(path) for event, path in adoption.hooks.items()}
    rest = without_values(content, ours, kept or b"")
    if rest == content:
        return content, ("its .env was edited since and names no hook of ours; it is left as it is",)
    gone = kept is None and not rest
    return None if gone else rest, ("its .env was edited since; only our own lines are taken out",)


def undo(plan: UndoPlan, records: Records) -> None:
    """Takes it back; a second time completes what a stop interrupted. Raises OSError."""
    # The folder itself may be gone by now.
    with contextlib.suppress(FileNotFoundError), opened_folder(plan.folder) as file:
        clear_left(file)
        if plan.env.content != plan.old_env:
            replace_env(file, plan.env, plan.old_env)
    if not plan.sight.listeners and not has_clones(records, plan.adoption):
        records.forget(plan.key)
        return
    for event in HOOK_NAMES:
        hook = plan.adoption.foreign.get(event)
        # A hook that was replaced is back as well: undoing restores what was there.
        records.put_script(plan.key, event, script_text(None, event, hook.path if hook else None))
    stale = StaleListener(process=plan.sight.listeners[0], boot_id=boot_id()) if plan.sight.listeners else None
    records.write(plan.key, msgspec.structs.replace(plan.adoption, stage=Stage.UNDONE, stale=stale, to_jit=None))


def has_clones(records: Records, adoption: Adoption) -> bool:
    """Whether a JIT runner that was made of the folder is left: its own copy of `.env` names our scripts."""
    try:
        return any(True for _ in (records.root.slots / str(adoption.slot)).iterdir())
    except FileNotFoundError:
        return False


def is_over(adoption: Adoption, sight: FolderSight, boot: str) -> bool:
    """Whether what undoing left may go: no listener lives any more that was started with our scripts."""
    stale = adoption.stale
    if adoption.stage is not Stage.UNDONE or sight.busy:
        return False
    if stale is None or stale.boot_id != boot:
        return True
    # While nothing listens it is being started again.
    return bool(sight.listeners) and stale.process not in sight.listeners
