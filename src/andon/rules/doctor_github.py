"""Judges whether GitHub answers us, sees the same time, and lets us do what the fleet needs."""

from collections.abc import Iterator
from datetime import timedelta

import msgspec

from andon.model.config import Config
from andon.rules.doctor_finding import Check, Finding, Severity, judged, skipped, unknown
from andon.rules.github_permissions import wanted_permissions

NOTABLE_SKEW = timedelta(seconds=60)
HARMFUL_SKEW = timedelta(minutes=5)
"""An App's proof is not accepted with a clock further off; nor does a runner register (contract section 6)."""
_LEVELS = {"read": 1, "write": 2, "admin": 3}


class AnswerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The first call: whether GitHub answered, and took our credential."""

    api_url: str
    answered: bool
    """False also for a 5xx: what stands before GitHub answers, or GitHub is down."""
    accepted: bool | None = False
    """None: the answer does not tell, as at a rate limit."""
    said: str = ""
    """GitHub's, or the network's, words when it did not."""
    ahead_s: float | None = None
    """How far our clock is ahead of GitHub's."""


def judge_answer(facts: AnswerFacts) -> Check:
    """Whether GitHub is reachable with our credential."""
    name, note = "github", f"{facts.api_url} answers and takes our credential"
    if not facts.answered:
        return judged(
            name,
            "no answer",
            [
                Finding(
                    id="github.unreachable",
                    what=f"{facts.api_url} gives no answer of use: {facts.said}.",
                    do="Check [github] api_url, the way out, a proxy, and https://www.githubstatus.com.",
                )
            ],
        )
    if facts.accepted is None:
        return unknown(name, f"whether {facts.api_url} takes our credential ({facts.said})")
    if not facts.accepted:
        return judged(
            name,
            "refused",
            [
                Finding(
                    id="github.unauthorised",
                    what=f"{facts.api_url} does not take our credential: {facts.said}.",
                    do="Put a valid token into token_file, or correct app_id and private_key_file.",
                )
            ],
        )
    return judged(name, note, ())


def judge_clock(facts: AnswerFacts) -> Check:
    """Whether our clock is GitHub's."""
    if facts.ahead_s is None:
        return unknown("clock", "GitHub named no time.")
    off = abs(facts.ahead_s)
    way = "ahead of" if facts.ahead_s > 0 else "behind"
    if off < NOTABLE_SKEW.total_seconds():
        return judged("clock", f"within {max(1, round(off))} s of GitHub's", ())
    harmful = off >= HARMFUL_SKEW.total_seconds()
    return judged(
        "clock",
        "off",
        [
            Finding(
                id="clock.github",
                severity=Severity.PROBLEM if harmful else Severity.WARNING,
                what=f"This machine's clock is {off:.0f} s {way} GitHub's.",
                do="Let chrony or systemd-timesyncd set it; more than 5 min off, no App and no runner is let in.",
            )
        ],
    )


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """A harmless call that shows whether one thing is allowed."""

    permission: str
    """As the table of `github_permissions` names it."""
    level: str
    where: str
    """A repository or an organisation."""
    allowed: bool | None
    """None: it could not be told."""
    said: str = ""


class RepositoryFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One watched repository."""

    name: str
    there: bool | None
    """Whether we can see it; None: it could not be told."""
    of_person: bool = False
    """Whether its owner is a person, who has no webhooks but the repositories'."""
    said: str = ""


class InstallationFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The App at one owner."""

    owner: str
    installed: bool
    suspended: bool = False
    permissions: dict[str, str] = {}


class GroupFacts(msgspec.Struct, frozen=True, kw_only=True):
    """An organisation's runner groups; None: they could not be listed."""

    owner: str
    groups: tuple[int, ...] | None
    said: str = ""


class AccessFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that says what we may do."""

    kind: str
    """"app", "classic token" or "fine-grained token"."""
    scopes: tuple[str, ...] | None = None
    """Of a classic token."""
    installations: tuple[InstallationFacts, ...] | None = None
    """Of an App; None: not an App, or they could not be listed."""
    not_listed: str | None = None
    """What could not be listed, so that it was not judged or tried; with GitHub's words."""
    probes: tuple[Probe, ...] = ()


def judge_repositories(found: tuple[RepositoryFacts, ...], *, not_listed: str | None = None) -> Check:
    """Whether every repository that is to be watched is there. `not_listed`: whose could not be listed."""
    if not found and not_listed is None:
        return skipped("repositories", "none is named in the configuration")
    findings = [
        Finding(
            id="repository.absent",
            what=f"Repository {one.name} does not exist at GitHub, or our credential may not see it.",
            do="Correct its name in [[owner]] repositories, or give the token or the App access to it.",
        )
        for one in found
        if one.there is False
    ]
    untold = [one for one in found if one.there is None]
    partly = f"{untold[0].name}: {untold[0].said}" if untold else not_listed
    return judged("repositories", _count(len(found), "repository", "repositories"), findings, partly=partly)


def judge_access(config: Config, facts: AccessFacts) -> Check:
    """Whether we may do what the fleet needs, by what was granted and by what was tried."""
    findings = [*_of_installations(config, facts), *_of_scopes(config, facts), *_of_probes(facts)]
    unique = {(finding.id, finding.what): finding for finding in findings}
    untold = [probe for probe in facts.probes if probe.allowed is None]
    partly = facts.not_listed
    if untold:
        partly = f"{untold[0].where}: {untold[0].permission} could not be tried ({untold[0].said})"
    caveat = None
    if facts.kind == "fine-grained token":
        caveat = "whether a fine-grained token may rerun and cancel cannot be seen without doing it"
    return judged(
        "permissions",
        f"{facts.kind}, {_count(len(facts.probes), 'call', 'calls')} tried",
        unique.values(),
        partly=partly,
        caveat=caveat,
    )


def _of_installations(config: Config, facts: AccessFacts) -> Iterator[Finding]:
    for one in facts.installations or ():
        if not one.installed:
            yield Finding(
                id="app.not_installed",
                what=f"The App is not installed at {one.owner}.",
                do="Install it there: its page at GitHub, Install App.",
            )
            continue
        if one.suspended:
            yield Finding(
                id="app.suspended",
                what=f"The App's installation at {one.owner} is suspended.",
                do=f"Let an owner of {one.owner} take it up again, in the settings under GitHub Apps.",
            )
        place = _runners_of(config, one.owner)
        for wanted in wanted_permissions(config):
            held = _LEVELS.get(one.permissions.get(wanted.name, ""), 0)
            if held >= _LEVELS[wanted.level] or not _concerns(wanted.when, place):
                continue
            yield _missing(wanted.name, wanted.level, one.owner, wanted.reason, needed=wanted.needed)


def _of_scopes(config: Config, facts: AccessFacts) -> Iterator[Finding]:
    if facts.scopes is None:
        return
    scopes = set(facts.scopes)
    if "repo" not in scopes:
        yield _scope("repo", "reads runs and jobs, and registers the runners of repositories")
    if any(owner.runners == "organisation" for owner in config.owner) and "admin:org" not in scopes:
        yield _scope("admin:org", "registers the runners of organisations")


def _scope(name: str, reason: str) -> Finding:
    return Finding(
        id="permission.missing",
        what=f'The token lacks the scope "{name}", which {reason}.',
        do="Give it that scope at https://github.com/settings/tokens, or use an App: andon github create-app.",
    )


def _of_probes(facts: AccessFacts) -> Iterator[Finding]:
    told = {one.owner.lower() for one in facts.installations or ()}
    for probe in facts.probes:
        # What an installation was granted is known better than by trying.
        if probe.allowed is False and probe.where.partition("/")[0].lower() not in told:
            yield _missing(probe.permission, probe.level, probe.where, f"GitHub says: {probe.said}.", needed=True)


def _missing(name: str, level: str, where: str, reason: str, *, needed: bool) -> Finding:
    return Finding(
        id="permission.missing" if needed else "permission.optional",
        severity=Severity.PROBLEM if needed else Severity.WARNING,
        what=f"{where}: the permission {name}:{level} is missing. {reason}",
        do="Grant it, at an App in its settings and then where it is installed. The whole list: docs/permissions.md.",
    )


def _runners_of(config: Config, login: str) -> str:
    found = next((owner for owner in config.owner if owner.login.lower() == login.lower()), None)
    return found.runners if found is not None else "repository"


def _concerns(when: str, place: str) -> bool:
    if when == "runners at repositories":
        return place == "repository"
    return place == "organisation" if when == "runners at organisations" else True


def judge_groups(config: Config, found: tuple[GroupFacts, ...]) -> Check:
    """Whether the runner groups of the pools are there, where runners are registered at organisations."""
    if not found:
        return skipped("runner groups", "runners are registered at repositories")
    findings: list[Finding] = []
    partly: str | None = None
    for one in found:
        if one.groups is None:
            partly = partly or f"{one.owner}: {one.said}"
            continue
        findings += [
            Finding(
                id="group.absent",
                what=f'Pool "{pool.name}": {one.owner} has no runner group {pool.runner_group_id} that we may see.',
                do="Correct runner_group_id; the number stands in the address of the group's page.",
            )
            for pool in config.pool
            if pool.runner_group_id not in one.groups
        ]
    return judged("runner groups", _count(len(found), "organisation", "organisations"), findings, partly=partly)


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
