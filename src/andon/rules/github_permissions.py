"""What Andon asks GitHub for, each with its reason: one table for the App's manifest, for
`andon doctor` and for the docs (github-contract sections 2-5).

A permission that is not in the table is never asked for; one that a fleet has no use for neither.
"""

from typing import Literal

import msgspec

from andon.model.config import Config

Level = Literal["read", "write"]
Where = Literal["always", "runners at repositories", "runners at organisations", "a bar"]


class Permission(msgspec.Struct, frozen=True, kw_only=True):
    """One permission of a GitHub App, by GitHub's own name."""

    name: str
    level: Level
    when: Where
    needed: bool = True
    """False: everything but what the reason names works without it."""
    reason: str


PERMISSIONS: tuple[Permission, ...] = (
    Permission(name="metadata", level="read", when="always", reason="GitHub demands it of every App."),
    Permission(
        name="actions",
        level="write",
        when="always",
        reason="Reads runs, jobs and logs; runs a job again, and cancels one, where a rule says so.",
    ),
    Permission(
        name="administration",
        level="write",
        when="runners at repositories",
        reason="Registers and removes the runners of repositories, and nothing else of what it allows.",
    ),
    Permission(
        name="organization_self_hosted_runners",
        level="write",
        when="runners at organisations",
        reason="Registers and removes the runners of the organisation.",
    ),
    Permission(
        name="administration",
        level="read",
        when="a bar",
        needed=False,
        reason="Reads rule suites, so that an acceptance bar sees merges that went around the checks.",
    ),
    Permission(
        name="checks",
        level="read",
        when="always",
        needed=False,
        reason="Reads the state of a hundred jobs in one call instead of one call each.",
    ),
    Permission(
        name="pull_requests",
        level="read",
        when="always",
        needed=False,
        reason="Knows whether a run is still the newest of its pull request, before it is run again.",
    ),
    Permission(
        name="issues",
        level="write",
        when="always",
        needed=False,
        reason="Keeps the tracker issue.",
    ),
)


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of webhook."""

    name: str
    needed: bool = True
    reason: str


EVENTS: tuple[Event, ...] = (
    Event(name="workflow_job", reason="Each job as it is queued, starts and ends."),
    Event(name="workflow_run", reason="What started a run, whether it comes from a fork, and how it ended."),
    Event(name="repository", needed=False, reason="A repository that turned public, before the next claim."),
)


def applies(permission: Permission, config: Config, *, organisation: bool | None = None) -> bool:
    """Whether this fleet has a use for the permission.

    `organisation`: who the App is for, where the configuration names no owner yet.
    """
    if permission.when == "always":
        return True
    if permission.when == "a bar":
        return bool(config.bar)
    places = {owner.runners for owner in config.owner} or {"organisation" if organisation else "repository"}
    return ("repository" if permission.when == "runners at repositories" else "organisation") in places


def wanted_permissions(
    config: Config, *, least: bool = False, organisation: bool | None = None
) -> tuple[Permission, ...]:
    """The permissions for this fleet, each name once with its highest level; `least`: the needed ones alone."""
    found: dict[str, Permission] = {}
    for permission in PERMISSIONS:
        if (permission.needed or not least) and applies(permission, config, organisation=organisation):
            known = found.get(permission.name)
            if known is None or (known.level, permission.level) == ("read", "write"):
                found[permission.name] = permission
    return tuple(found.values())


def wanted_events(config: Config, *, least: bool = False) -> tuple[Event, ...]:
    """The events for this fleet; none where nothing is sent to us."""
    if config.github.ingest == "poll":
        return ()
    return tuple(event for event in EVENTS if event.needed or not least)


def permissions_page() -> str:
    """The table as a page of the docs."""
    lines = [
        "# What Andon asks GitHub for",
        "",
        "Generated from `rules/github_permissions.py`; `andon github create-app` shows the same table before it",
        "makes an App, and `andon doctor` compares what was granted with it.",
        "",
        "| permission | level | asked for | without it | reason |",
        "|---|---|---|---|---|",
    ]
    for one in PERMISSIONS:
        without = "does not work" if one.needed else "less is known"
        lines.append(f"| `{one.name}` | {one.level} | {one.when} | {without} | {one.reason} |")
    lines += ["", "| event | without it | reason |", "|---|---|---|"]
    for event in EVENTS:
        without = "does not work" if event.needed else "less is known"
        lines.append(f"| `{event.name}` | {without} | {event.reason} |")
    lines += [
        "",
        'With `ingest = "poll"` the App has no webhook and no events. A classic token needs the scopes `repo` and,',
        "for runners at an organisation, `admin:org`; with `admin:org_hook` the doctor sees the webhooks of the",
        "organisation, too. A fine-grained token needs the same permissions as the App, and `Webhooks: write`: what",
        "never arrived is then found in GitHub's delivery log, and asked for again. The doctor only reads there.",
    ]
    return "\n".join(lines) + "\n"
