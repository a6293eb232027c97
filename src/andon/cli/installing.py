"""Shows a plan of steps and carries it out: for `andon install` and `andon agent install`."""

import os
import sys
from typing import Any

from andon.cli.exits import FINE, UNUSABLE
from andon.cli.output import print_json
from andon.runtime.errors import Refused
from andon.setup.machine import Machine
from andon.setup.steps import Plan, Step, WriteFile


def check_root(*, plan_only: bool) -> None:
    """Raises Refused when the steps could not be carried out by who we are."""
    if not plan_only and os.geteuid() != 0:
        raise Refused("Only root can install: users and units are made. Use sudo, or see the steps with --plan.")


def install(plan: Plan, machine: Machine, *, plan_only: bool, json: bool) -> int:
    """Carries out what is not done yet, says what was done and how to undo it."""
    done: list[tuple[Step, str]] = []
    undo: list[str] = []
    failure: Refused | None = None
    for step in plan.steps:
        if machine.has(step):
            state = "there"
        elif plan_only:
            state = "planned"
        else:
            back = machine.undo_of(step)
            try:
                machine.carry_out(step)
            except Refused as error:
                failure = error
                break
            state = "made"
            undo += [back] if back else []
        done.append((step, state))
        if not json:
            sys.stdout.write(f"{_SIGNS[state]} {step}\n")
            if state == "planned" and isinstance(step, WriteFile):
                sys.stdout.writelines(f"    | {line}\n" for line in step.content.splitlines())
    undo.reverse()
    if json:
        print_json(_shown(done, undo, plan, failure))
    else:
        for note in plan.notes:
            sys.stdout.write(f"! {note}\n")
        if undo:
            sys.stdout.write("\n".join(("", "To undo this:", *(f"  {line}" for line in undo))) + "\n")
    if failure is not None:
        sys.stderr.write(f"andon: {failure}\n")
        return UNUSABLE
    return FINE


_SIGNS = {"there": "=", "planned": "~", "made": "+"}


def _shown(done: list[tuple[Step, str]], undo: list[str], plan: Plan, failure: Refused | None) -> dict[str, Any]:
    return {
        "steps": [{"what": str(step), "state": state} for step, state in done],
        "notes": list(plan.notes),
        "undo": undo,
        "failure": str(failure) if failure is not None else None,
    }
