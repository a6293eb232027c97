"""P7: a compile cache at its cap that nothing hits, and a client whose smaller cap would evict it for everybody."""

import shutil
import sys
from pathlib import Path

from andon.model.config import Sccache
from andon.rules.cache_health import is_thrashing
from andon.sim.drills.on_host.host_drill import HostDrill, Stage

_SCCACHE = shutil.which("sccache") or str(Path(sys.executable).parent / "sccache")
_NEEDS = (_SCCACHE, "gcc")
_CAP = "2 MiB"
_KIB = 64
_FILES = 130
_SCCACHES = f"sccache={_SCCACHE}; export SCCACHE_CONF=/dev/null SCCACHE_DIRECT=false"
_BUILDS_WHAT_NEVER_COMES_AGAIN = f"""
{_SCCACHES}
cd "$ANDON_WORKSPACE"
for at in $(seq {_FILES}); do
  head -c {_KIB}K /dev/urandom > part-$at
  printf 'asm(".incbin \\\\"part-%s\\\\"");\\n' $at > $at.c
  $sccache gcc -c $at.c -o $at.o
done
"""
_BUILDS = f"""
{_SCCACHES}
mkdir -p "$DRILL/src"; cd "$DRILL/src"
echo "int $WHAT(void) {{ return 1; }}" > $WHAT.c
$sccache gcc -c $WHAT.c -o "$ANDON_WORKSPACE/$WHAT.o"
$sccache --show-stats --stats-format json > "$DRILL/$STORY.stats"
"""
_ENDS_THE_SERVER_AND_BUILDS = f"""
{_SCCACHES}
$sccache --stop-server > "$DRILL/stopped" 2>&1 || true
{_BUILDS}
"""


async def _nobody_compares(stage: Stage) -> None:
    stage.begin("big", _BUILDS_WHAT_NEVER_COMES_AGAIN)
    await stage.until(lambda: stage.says("big.result") is not None, "the job is over", 60)
    stage.expect(stage.says("big.result") == "0", "the job failed")
    await stage.until(lambda: _thrashes(stage), "it is told that the cache is full and never hit")


def _thrashes(stage: Stage) -> bool:
    return any(is_thrashing(cache) for disk in stage.control.disk.values() for cache in disk.caches)


async def _smaller_cap(stage: Stage) -> None:
    one = {"WHAT": "shared"}
    stage.begin("first", _BUILDS, more=one)
    stage.expect(await stage.said("first.result") == "0", "the first job failed")
    stage.begin("greedy", _ENDS_THE_SERVER_AND_BUILDS, slot=1, more={"WHAT": "own", "SCCACHE_CACHE_SIZE": "600"})
    stage.expect(await stage.said("greedy.result") == "0", "the job with the small cap failed")
    stage.begin("second", _BUILDS, run=8, more=one)
    stage.expect(await stage.said("second.result") == "0", "the second job failed")
    stats = stage.says("second.stats") or ""
    stage.expect('"cache_hits":{"counts":{"C/C++":1}' in stats, f"what the first job compiled is gone: {stats[:300]}")


def _drill(number: str, title: str, protection: str, story: object) -> HostDrill:
    return HostDrill(
        id=number,
        title=title,
        protection=protection,
        story=story,  # pyright: ignore[reportArgumentType]
        sccache=Sccache(size=_CAP, program=_SCCACHE),
        needs=_NEEDS,
    )


DRILLS = (
    _drill(
        "P7", "a compile cache stands at its cap, and nothing hits it", "caches that are looked at", _nobody_compares
    ),
    _drill("P7b", "a job asks for a compile cache that is far smaller", "one owner of a cap", _smaller_cap),
)
