"""The state tables as diagrams and tables for the docs: generated, so that they cannot drift."""

from typing import Any

from andon.model.machine import Machine
from andon.model.tables import TABLES, states_of

_INTRO = """# States

Made from the tables in `src/andon/model/`; do not edit this page, run `make docs`.

Every state that is not the last one has a deadline, what follows when it passes, and who sees to
it. A pair of state and event that stands in no table changes nothing.
"""


def mermaid(machine: Machine[Any]) -> str:
    """A Mermaid state diagram of one table; edges between the same two states share an arrow."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (state, event), after in machine.edges.items():
        arrows.setdefault((state.value, after.value), []).append(str(event))
    lines = ["stateDiagram-v2"]
    # A table in which anything can be first says so in words; arrows to all would hide the rest.
    if len(machine.initial) < len(states_of(machine)):
        lines += [f"    [*] --> {_name(state.value)}" for state in sorted(machine.initial)]
    for (here, there), events in arrows.items():
        if here != there:
            lines.append(f"    {_name(here)} --> {_name(there)}: {', '.join(events)}")
    lines += [f"    {_name(state.value)} --> [*]" for state in sorted(machine.terminal)]
    return "\n".join(lines)


def _name(state: str) -> str:
    return state.replace(" ", "_")


def deadline_table(machine: Machine[Any]) -> str:
    """The table of deadlines of one noun."""
    lines = ["| state | deadline | then | who |", "|---|---|---|---|"]
    for state in states_of(machine):
        if state in machine.terminal:
            lines.append(f"| {state.value} | final | | |")
        else:
            deadline = machine.deadlines[state]
            lines.append(f"| {state.value} | {deadline.text} | {deadline.consequence} | `{deadline.owner}` |")
    return "\n".join(lines)


def states_page() -> str:
    """The whole page."""
    parts = [_INTRO]
    for machine in TABLES:
        parts.append(f"## {machine.noun.capitalize()}\n")
        if len(machine.initial) == len(states_of(machine)):
            parts.append("Any of these can be the first that we see.\n")
        parts.append(f"```mermaid\n{mermaid(machine)}\n```\n")
        parts.append(deadline_table(machine) + "\n")
    return "\n".join(parts)
