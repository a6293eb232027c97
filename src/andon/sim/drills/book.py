"""Every drill there is, by its number."""

import importlib
import pkgutil
import re

from andon.sim import drills
from andon.sim.drills.drill import Drill

_FILE = re.compile(r"[tnpsx]\d\d_")


def all_drills() -> dict[str, Drill]:
    """By number, in the book's order."""
    names = sorted(each.name for each in pkgutil.iter_modules(drills.__path__) if _FILE.match(each.name))
    found: dict[str, Drill] = {}
    for name in names:
        for drill in importlib.import_module(f"{drills.__name__}.{name}").DRILLS:
            found[drill.id] = drill
    return dict(sorted(found.items(), key=lambda each: _order(each[0])))


def _order(number: str) -> tuple[str, int, str]:
    letter, digits, rest = re.fullmatch(r"([A-Z]+)(\d+)(.*)", number).groups()  # pyright: ignore[reportOptionalMemberAccess]
    return ("TPSN".find(letter[0]).__str__(), int(digits), rest)
