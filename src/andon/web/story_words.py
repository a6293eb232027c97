"""Journal lines in words that a developer understands who never read how Andon works (R16)."""

from collections.abc import Callable
from typing import Any

import msgspec

from andon.model.journal import Entry

_Say = Callable[[Entry], str]


def _where(entry: Entry) -> str:
    return entry.host or "its host"


def _conclusion(entry: Entry) -> str:
    found = entry.evidence.get("conclusion")
    return str(found).replace("_", " ") if found else "no conclusion known"


def _runner(entry: Entry) -> str:
    found = entry.evidence.get("runner")
    return f"runner {found}" if found else "a runner"


_RECLAIMED = "The job was over and the runner's process lived on: it is ended, and the slot becomes free."

_WORDS: dict[str, _Say] = {
    "job.queued": lambda e: "GitHub queued the job: it wants a runner.",
    "job.waiting": lambda e: "GitHub holds the job behind a deployment gate.",
    "job.pending": lambda e: "GitHub holds the job behind its concurrency group.",
    "job.in_progress": lambda e: f"The job started on {_runner(e)}.",
    "job.completed": lambda e: f"The job ended: {_conclusion(e)}.",
    "claim.reserved": lambda e: f"A free slot on {_where(e)} was reserved for the job.",
    "claim.would_reserve": lambda e: f"Observe mode: a slot on {_where(e)} would have been reserved.",
    "claim.minted": lambda e: "GitHub registered a one-job runner for it.",
    "claim.launched": lambda e: f"The runner's process started on {_where(e)}.",
    "claim.registered": lambda e: "The runner is online and listens for the job.",
    "claim.busy": lambda e: "GitHub gave the job to the runner.",
    "claim.orphaned": lambda e: "The runner is in doubt; GitHub is asked before anything is given up.",
    "claim.rescue_ordered": lambda e: "An operator ordered its rescue: GitHub is asked now.",
    "claim.would_rescue": lambda e: "Observe mode: GitHub would have been asked now, as an operator ordered.",
    "claim.settled": lambda e: (
        _RECLAIMED
        if e.evidence.get("process_is") == "alive"
        else "The runner served its job and is gone; the slot is free again."
    ),
    "claim.reclaimed": lambda e: _RECLAIMED,
    "claim.released": lambda e: "The reservation was given back; a job that still waits is claimed again.",
    "claim.shuffled": lambda e: "GitHub gave runners to other jobs than they were made for; the reservations followed.",
    "claim.late_word": lambda e: "GitHub said only now that this runner served the job; its reservation was over.",
    "claim.overlong": lambda e: (
        "The job is over and the runner's process lives on; GitHub is asked before it is ended."
        if e.reason.startswith("the job is over")
        else "The job runs longer than its limit; GitHub is asked, nothing is ended."
    ),
    "slot.would_reclaim": lambda e: (
        "Observe mode: a process that outlives its job would have been ended, once GitHub agreed."
    ),
    "slot.rests": lambda e: "Runner after runner failed on the slot before it served; the slot rests for a while.",
    "slot.not_counted": lambda e: "An adopted runner stood idle and let a job lie; it is not counted on for a while.",
    "slot.withheld": lambda e: "The slot is not open, and GitHub gives its adopted runner no job any more.",
    "slot.listener_stops": lambda e: "The slot is not open: the agent stops the adopted runner's listener when idle.",
    "slot.given_back": lambda e: "The slot is open, and its adopted runner has back what was taken from it.",
    "slot.pool_known": lambda e: "GitHub's list of runners says which pool the adopted runner serves.",
    "incident.opened": lambda e: f"Something is wrong: {e.reason}.",
    "incident.eased": lambda e: f"It is better: {e.reason}.",
    "incident.returned": lambda e: f"It is back: {e.reason}.",
    "incident.closed": lambda e: "The incident is over; its cause stayed away.",
    "incident.announced": lambda e: f"An incident goes on: {e.reason}.",
    "registration.left_over": lambda e: "A registration at GitHub has no process behind it; it is being removed.",
    "host.added": lambda e: "An operator made a one-use token for the host.",
    "host.removed": lambda e: "The host was removed; what ran on it goes on.",
    "host.cordoned": lambda e: "The host takes no new jobs; what runs on it goes on.",
    "host.uncordoned": lambda e: "The host takes jobs again.",
    "host.enrolled": lambda e: "The host was enrolled.",
    "host.reporting": lambda e: "The host reports.",
    "host.silent": lambda e: "The host fell silent; its slots are unknown, and its jobs may still run.",
}

_ACTORS = {"github": "GitHub", "operator": "an operator"}


def words(entry: Entry) -> str:
    """What happened, as one sentence."""
    say = _WORDS.get(entry.kind)
    if say is not None:
        return say(entry)
    noun, _, verb = entry.kind.partition(".")
    return f"{noun.capitalize()} {entry.subject_id}: {(verb or 'changed').replace('_', ' ')}."


def actor(entry: Entry) -> str:
    """Who did it."""
    kind, _, name = entry.actor.partition(":")
    if kind == "loop":
        return f"Andon ({name})"
    if kind == "agent":
        return f"the agent on {name}"
    return _ACTORS.get(entry.actor, entry.actor)


_LONGEST = 2000


def evidence(entry: Entry) -> list[tuple[str, str]]:
    """The facts behind the line, each as text of bounded length."""
    facts: dict[str, Any] = {**entry.evidence, "subject": f"{entry.subject_kind} {entry.subject_id}"}
    if entry.generation is not None:
        facts["attempt" if entry.subject_kind == "job" else "generation"] = entry.generation
    if entry.from_state or entry.to_state:
        facts["change"] = f"{entry.from_state or 'new'} → {entry.to_state or 'gone'}"
    said = [
        (name, value if isinstance(value, str) else msgspec.json.encode(value).decode())
        for name, value in facts.items()
        if value is not None
    ]
    return [(name, text if len(text) <= _LONGEST else text[:_LONGEST] + "…") for name, text in said]
