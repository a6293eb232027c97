"""`andon drill record`: a host driven over each mark of its disk and back, as numbers and a picture (R52)."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from andon.cli.exits import FINDING, FINE
from andon.cli.output import make_console, plain
from andon.runtime.errors import Refused


def drill_record(
    folder: Annotated[Path, Parameter(help="Where marks.csv and marks.svg are written; it is made if need be.")],
) -> int:
    """Records an agent on a small filesystem of its own that is filled over the soft, hard and emergency mark and
    emptied again, while a build runs. Takes four minutes; needs root, to mount it. Exit code 1 when something did
    not follow that has to."""
    from andon.sim.drills.on_host.host_drill import Never
    from andon.sim.drills.on_host.marks_picture import marks_picture
    from andon.sim.drills.on_host.over_the_marks import record
    from andon.sim.stage.loop_filesystem import NotHere

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)  # noqa: T201

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Refused(f"{folder}: the folder cannot be made ({error.strerror}). Name another.") from error
    try:
        recording = record(say)
    except NotHere as error:
        raise Refused(f"Nothing was recorded: {error}.") from error
    except Never as never:
        make_console().print(plain(f"It never came: {never}."))
        return FINDING
    recording.write_samples(folder / "marks.csv")
    (folder / "marks.svg").write_text(marks_picture(recording))
    console = make_console()
    console.print(plain(f"{folder / 'marks.svg'}: the picture; {folder / 'marks.csv'}: its numbers."))
    for violation in recording.violations:
        console.print(plain(f"Wrong: {violation}"))
    return FINDING if recording.violations else FINE
