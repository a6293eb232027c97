"""P6: an earlier job's container was ended by force; files of root's stand where the next checkout clears away."""

import os
import pwd
from pathlib import Path

from andon.sim.drills.on_host.host_drill import HostDrill, Stage

USER = "nobody"
_CHECKOUT = "cd _work/app/app; rm -rf ./*; echo new > file; rm -rf ../../_temp/*"


def _leave_behind(work: Path) -> None:
    """A checkout and a temporary folder of the job's user, with what root wrote into them."""
    user = pwd.getpwnam(USER)
    checkout, temp = work / "app" / "app", work / "_temp"
    for folder in (work, checkout.parent, checkout, temp):
        folder.mkdir(exist_ok=True)
        os.chown(folder, user.pw_uid, user.pw_gid)
    for closed in (checkout / "build", temp / "layer"):
        (closed / "deep").mkdir(parents=True, mode=0o700)
        (closed / "deep" / "artifact").write_text("root's")


async def _story(stage: Stage) -> None:
    stage.begin("checkout", _CHECKOUT, waits=True)
    _leave_behind(Path(await stage.said("checkout.here")) / "_work")
    await stage.go("checkout")
    stage.expect(await stage.said("checkout.result") == "0", "a checkout could not clear away what root had left")


DRILLS = (
    HostDrill(
        id="P6",
        title="a job that was ended by force leaves files of root's in the next one's checkout",
        protection="leftovers given back",
        story=_story,
        user=USER,
    ),
)
