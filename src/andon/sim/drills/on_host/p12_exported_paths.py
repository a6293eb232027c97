"""P12 and P16: steps that know nothing of us write into their own workspace, and two shards never share a cache."""

from andon.sim.drills.on_host.host_drill import HostDrill, Stage

_POLICY = {"workspaces": {"p": {"export": {"CARGO_TARGET_DIR": "target", "CARGO_HOME": "caches/cargo"}}}}
_PLAIN = """
out="${CARGO_TARGET_DIR:-$PWD/target}"; scratch="$(mktemp)"
mkdir -p "$out"; echo built > "$out/object"
printf '%s\\n' "$out/object" "$scratch" > "$DRILL/plain.wrote"
"""
_UNPACKS = """
registry="${CARGO_HOME:-$DRILL/home}/registry"
mkdir -p "${registry%/*}"
echo ready > "$DRILL/$STORY.ready"; read -r line < "$DRILL/$STORY.go"
mkdir "$registry" || exit 60
for crate in one two three; do echo "$STORY" > "$registry/$crate"; done
echo all > "$DRILL/$STORY.unpacked"
read -r line < "$DRILL/$STORY.leave"
grep -qvx "$STORY" "$registry"/* && exit 61
exit 0
"""


async def _every_step(stage: Stage) -> None:
    stage.begin("plain", _PLAIN)
    await stage.said("plain.result")
    wrote = (await stage.said("plain.wrote")).splitlines()
    outside = [path for path in wrote if not path.startswith(f"{stage.root.runs}/")]
    stage.expect(not outside, f"a step wrote outside its workspace: {', '.join(outside)}")


async def _two_shards(stage: Stage) -> None:
    stories = ("left", "right")
    for slot, story in enumerate(stories):
        stage.begin(story, _UNPACKS, slot=slot)
    for story in stories:
        await stage.said(f"{story}.ready")
    for story in stories:
        await stage.go(story)
    for story in stories:
        await stage.until(lambda story=story: _has_unpacked(stage, story), f"{story} has unpacked, or failed")
    for story in stories:
        if stage.says(f"{story}.result") is None:
            await stage.leave(story)
    for story in stories:
        result = await stage.said(f"{story}.result")
        stage.expect(result == "0", f"shard {story} failed with {result}: another unpacked the same registry")


def _has_unpacked(stage: Stage, story: str) -> bool:
    return stage.says(f"{story}.unpacked") is not None or stage.says(f"{story}.result") is not None


DRILLS = (
    HostDrill(
        id="P12",
        title="steps that never heard of us build beside the workspace",
        protection="exported paths",
        story=_every_step,
        policy=_POLICY,
    ),
    HostDrill(
        id="P16",
        title="two shards on one host unpack one registry",
        protection="exported paths",
        story=_two_shards,
        policy=_POLICY,
    ),
)
