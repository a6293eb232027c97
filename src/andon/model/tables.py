"""All state tables in one place, for the diagrams in the docs and the test of their completeness."""

from enum import StrEnum
from typing import Any

from andon.model.claim_states import CLAIMS
from andon.model.host_states import HOSTS, INTENTS
from andon.model.incident_states import CRITERIA, INCIDENTS
from andon.model.job_states import JOBS
from andon.model.machine import Machine
from andon.model.runner_states import RUNNERS
from andon.model.workspace_states import BASES, WORKSPACES

TABLES: tuple[Machine[Any], ...] = (JOBS, CLAIMS, RUNNERS, INTENTS, HOSTS, WORKSPACES, BASES, INCIDENTS, CRITERIA)


def states_of(machine: Machine[Any]) -> tuple[StrEnum, ...]:
    """Every state that a table speaks of."""
    some: StrEnum = next(iter(machine.initial))
    kind: type[StrEnum] = type(some)
    return tuple(kind)
