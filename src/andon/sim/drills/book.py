"""Every drill there is, by its number."""

import importlib
import pkgutil
import re

from andon.sim import drills
from andon.sim.drills import on_host
from andon.sim.drills.drill import Drill
from andon.sim.drills.on_host.host_drill import HostDrill

_FILE = re.compile(r"[a-z]\d\d_")
_NUMBER = re.compile(r"([A-Z]+)(\d+)(.*)")
_LETTERS = "TPSN"
"""The book's chapters, in its order."""


def all_drills() -> dict[str, Drill | HostDrill]:
    """By number, in the book's order."""
    found: list[Drill | HostDrill] = []
    for package in (drills, on_host):
        for each in pkgutil.iter_modules(package.__path__):
            if _FILE.match(each.name):
                found += importlib.import_module(f"{package.__name__}.{each.name}").DRILLS
    book = {drill.id: drill for drill in sorted(found, key=lambda drill: _order(drill.id))}
    if len(book) < len(found):
        raise ValueError("Two drills have the same number.")
    return book


def _order(number: str) -> tuple[int, int, str]:
    match = _NUMBER.fullmatch(number)
    if match is None:
        raise ValueError(f"{number}: a drill's number is a letter, digits, and perhaps a letter.")
    return _LETTERS.find(match[1]), int(match[2]), match[3]
