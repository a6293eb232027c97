"""P5: a container engine makes the bind sources that are missing, as root, and the job's user cannot write there."""

import pwd
from pathlib import Path

from andon.sim.drills.on_host.host_drill import HostDrill, Stage

USER = "nobody"
_POLICY = {"workspaces": {"p": {"export": {"CARGO_TARGET_DIR": "target/deep/down", "CARGO_HOME": "caches/cargo"}}}}
_MOUNTS = """
printf '%s\\n' "$CARGO_TARGET_DIR" "$CARGO_HOME" "$TMPDIR" > "$DRILL/mounts.wanted"
read -r line < "$DRILL/mounts.leave"
for each in "$CARGO_TARGET_DIR" "$CARGO_HOME" "$TMPDIR"; do touch "$each/mine"; done
"""


def _mounted(source: Path, runs: Path) -> list[str]:
    """Mounts as an engine does it: what is not there is made, and belongs to root. Gives what is not the user's."""
    source.mkdir(parents=True, exist_ok=True)
    owner = pwd.getpwnam(USER).pw_uid
    below = [source, *source.parents][: len(source.relative_to(runs).parts) - 2]
    return [str(each.relative_to(runs)) for each in below if each.stat().st_uid != owner]


async def _story(stage: Stage) -> None:
    stage.begin("mounts", _MOUNTS)
    for source in (await stage.said("mounts.wanted")).splitlines():
        for name in _mounted(Path(source), stage.root.runs):
            stage.violations.append(f"{name}: the engine made it, and it is not the job's own")
    await stage.leave("mounts")
    stage.expect(await stage.said("mounts.result") == "0", "the job cannot write into what was mounted for it")


DRILLS = (
    HostDrill(
        id="P5",
        title="a container engine makes missing bind sources as root",
        protection="bind sources",
        story=_story,
        policy=_POLICY,
        user=USER,
    ),
)
