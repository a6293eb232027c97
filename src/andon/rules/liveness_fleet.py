"""Four verdicts about the fleet as a whole, told apart by what each side still says (R36).

A host is lost when others are heard; the whole fleet when nobody is, and GitHub is; GitHub is down when
its answers fail while we are not cut off; and the control plane was asleep when its own clock shows
it, or is cut off when it hears nobody at all. One cause is one finding: what follows from it is not
found again, and an unanswered question finds nothing (law 4).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from andon.model.host_states import SILENT_AFTER, HostObserved, Intent
from andon.model.incident_kinds import IncidentCode
from andon.model.wire import HOLD_SECONDS

HEARD_LATER = timedelta(seconds=HOLD_SECONDS + 2)
"""Hosts speak at least every 25 s: one heard this much later than another was heard after that one's silence
began, and does not share its cause."""
FAILING_FOR = timedelta(seconds=20)
"""From the first failure to the judgement: not from the last answer, which may be older than the trouble."""
FAILURES = 3
UNANSWERED = 2
"""So many failures in a row, or so many at its end that were no answer at all, are an outage and no accident."""
ANSWER_LASTS = timedelta(seconds=150)
"""An older answer says nothing of now; the knock asks at least every two minutes."""
ASLEEP = timedelta(seconds=60)
"""A pause of our own that is shorter is nothing to tell of."""
FLEET = "fleet"
JUDGED = frozenset(
    {
        IncidentCode.HOST_SILENT,
        IncidentCode.FLEET_SILENT,
        IncidentCode.GITHUB_DOWN,
        IncidentCode.CONTROL_PLANE_ASLEEP,
        IncidentCode.LABEL_THIN,
    }
)
"""The kinds that `verdicts` opens and `cleared` shows the end of; the last is of `rules.pool_rests`."""


class HostFact(msgspec.Struct, frozen=True, kw_only=True):
    """One host as it was heard last."""

    name: str
    observed: HostObserved
    intent: Intent
    last_seen: datetime | None
    works: bool
    """A live claim stands on it."""
    local: bool = False
    """It runs on the machine of this control plane: that it is heard proves nothing of the network."""

    @property
    def counts(self) -> bool:
        """Whether its silence matters: somebody who put an idle host aside may switch it off (N5)."""
        put_aside = self.intent in (Intent.CORDONED, Intent.DRAINING)
        return self.observed is not HostObserved.UNKNOWN and (self.works or not put_aside)


class Reach(StrEnum):
    """What GitHub's API says to us."""

    ANSWERS = "answers"
    FAILS = "fails"
    """It answers, with 5xx or with what is no answer of its API."""
    SILENT = "silent"
    """Nothing comes back: it is away, or we are."""
    UNKNOWN = "unknown"
    """Not asked since, or not often enough."""


class ApiFact(msgspec.Struct, frozen=True, kw_only=True):
    """How the last calls to GitHub went."""

    answered_at: datetime | None
    """The last answer of the API itself; refusals are answers too."""
    answering_since: datetime | None = None
    """The first answer in a row."""
    failing_since: datetime | None
    """The first failure after it; None: the last call was answered."""
    failed_at: datetime | None = None
    """The last failure, while it lasts."""
    failures: int = 0
    """In a row."""
    unanswered: int = 0
    """In a row: nothing came back at all."""
    said: str | None = None
    """The last failure."""

    def reach(self, now: datetime) -> Reach:
        """The judgement; a few failures are none yet."""
        if self.failing_since is None:
            lately = self.answered_at is not None and now - self.answered_at <= ANSWER_LASTS
            return Reach.ANSWERS if lately else Reach.UNKNOWN
        if now - self.failing_since < FAILING_FOR:
            return Reach.UNKNOWN
        if self.unanswered >= UNANSWERED:
            # A 5xx before it does not make a silence of now an answer.
            return Reach.SILENT
        return Reach.FAILS if self.failures >= FAILURES else Reach.UNKNOWN


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the verdicts look at."""

    now: datetime
    hosts: Sequence[HostFact]
    api: ApiFact
    heard_since: datetime | None
    """Since when somebody has been heard without a break; None: nobody is heard."""
    far_since: datetime | None = None
    """The same of hosts of other machines, which are heard over the network."""
    may_ask: bool = True
    """There is a place at GitHub to ask; where there is none its silence is no sign, and never ends."""
    pause: timedelta | None = None
    """How long this process just did nothing, while nobody else led; None: nobody can tell."""
    counted: timedelta | None = None
    """How much of it the clock that cannot be set has counted."""

    @property
    def slept(self) -> timedelta | None:
        """The pause, where it is worth telling of."""
        return self.pause if self.pause is not None and self.pause > ASLEEP else None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One verdict that holds now."""

    code: IncidentCode
    subject_kind: str
    subject_id: str
    title: str
    facts: dict[str, object]
    hosts: tuple[str, ...] = ()
    """Whose jobs it concerns; empty: everybody's."""
    pool: str | None = None
    """It concerns the jobs of this pool."""


def verdicts(at: Situation) -> tuple[Finding, ...]:
    """Every verdict that holds, the one that explains the others first."""
    made: list[Finding] = []
    if (slept := at.slept) is not None:
        seconds = int(slept.total_seconds())
        title = f"The control plane stood still for {seconds} s; nobody was heard meanwhile"
        if at.counted is not None and at.counted <= ASLEEP:
            title = f"The clock went on by {seconds} s at once: the machine slept, or its clock was set"
        counted = None if at.counted is None else int(at.counted.total_seconds())
        made.append(_own(title, {"pause_s": seconds, "counted_s": counted}))
    known = [host for host in at.hosts if host.counts]
    silent = [host for host in known if host.observed is HostObserved.SILENT]
    # Whoever speaks is heard, put aside or not.
    heard = [host for host in at.hosts if host.observed is HostObserved.REPORTING]
    far = [host for host in heard if not host.local]
    spared = heard and not any(host.counts for host in heard) and len(silent) > 1
    reach = at.api.reach(at.now)
    away = silent if not heard else [host for host in silent if not host.local]
    if away and not far and reach is Reach.SILENT:
        names = tuple(host.name for host in silent)
        who = "no host" if not heard else "no host of another machine"
        title = f"The control plane is cut off: {who} reports, and GitHub does not answer"
        return tuple(made) or (_own(title, {"hosts": list(names), **_api_facts(at.api)}),)
    if silent and not heard:
        if reach is Reach.FAILS or (reach is Reach.ANSWERS and _settled(at.api.answering_since, at.now)):
            made.append(_fleet(silent, at.api))
        elif reach is Reach.UNKNOWN and not at.may_ask:
            # Nothing of ours is at GitHub, so no answer of its will ever tell. Not asked yet is another matter.
            made.append(_fleet(silent, at.api))
    elif spared and _settled(at.heard_since, at.now):
        # One cause took all that should work; only what was put aside is left, and does not work anyway.
        made.append(_fleet(silent, at.api, tuple(host.name for host in heard)))
    elif _settled(at.heard_since, at.now):
        latest = max((host.last_seen for host in heard if host.last_seen is not None), default=at.now)
        made += [_host(host) for host in silent if host.last_seen is None or latest - host.last_seen >= HEARD_LATER]
    if reach is Reach.FAILS or (reach is Reach.SILENT and _is_its_own(at)):
        title = "GitHub's API " + ("fails" if reach is Reach.FAILS else "does not answer")
        facts = _api_facts(at.api)
        made.append(
            Finding(code=IncidentCode.GITHUB_DOWN, subject_kind="github", subject_id="api", title=title, facts=facts)
        )
    return tuple(made)


def cleared(code: IncidentCode, subject_id: str, at: Situation) -> str | None:
    """What shows that the cause of an open incident is gone; None: nothing does, and it stays as it is."""
    heard = [host for host in at.hosts if host.observed is HostObserved.REPORTING]
    reach = at.api.reach(at.now)
    if code is IncidentCode.HOST_SILENT:
        host = next((host for host in at.hosts if host.name == subject_id), None)
        if host is None:
            return "the host was taken away"
        if host.observed is HostObserved.REPORTING:
            return "the host reports again"
        return None if host.counts else "the host was put aside, and nothing of ours is on it"
    if code is IncidentCode.FLEET_SILENT:
        if not any(host.counts for host in at.hosts):
            return "no host is left that should report"
        # What was put aside does not stand for what should work, unless that is one host, which is its own verdict.
        silent = [host for host in at.hosts if host.counts and host.observed is HostObserved.SILENT]
        back = next((host for host in heard if host.counts or len(silent) < 2), None)
        return f"{back.name} reports again" if back is not None else None
    if code is IncidentCode.GITHUB_DOWN:
        return "GitHub's API answers again" if reach is Reach.ANSWERS else None
    if code is IncidentCode.CONTROL_PLANE_ASLEEP and at.slept is None:
        if any(not host.local for host in heard) or not any(host.counts for host in at.hosts):
            return "the control plane is awake, and whoever reports is heard"
        return "the control plane is awake, and GitHub answers it" if reach in (Reach.ANSWERS, Reach.FAILS) else None
    return None


def _settled(since: datetime | None, now: datetime) -> bool:
    """After we were cut off, or nobody was heard, hosts come back one by one: each gets its time."""
    return since is not None and now - since >= SILENT_AFTER


def _is_its_own(at: Situation) -> bool:
    """Whether GitHub's silence is its own: somebody was heard after it began, and it goes on although they are
    heard. Once we are not cut off any more hosts may come back before GitHub has been asked again."""
    far, began, last = [host for host in at.hosts if not host.local], at.api.failing_since, at.api.failed_at
    if not far or began is None:
        return True
    if last is not None and at.far_since is not None and last - at.far_since < FAILING_FOR:
        return False
    return any(host.last_seen is not None and host.last_seen > began for host in far)


def _own(title: str, facts: dict[str, object]) -> Finding:
    code = IncidentCode.CONTROL_PLANE_ASLEEP
    return Finding(code=code, subject_kind="controlplane", subject_id=FLEET, title=title, facts=facts)


def _fleet(silent: Sequence[HostFact], api: ApiFact, aside: tuple[str, ...] = ()) -> Finding:
    names = tuple(host.name for host in silent)
    title = "No host reports: the only host is silent"
    if aside:
        title = f"All {len(names)} hosts that should work are silent; only what was put aside reports"
    elif len(names) > 1:
        title = f"No host reports: all {len(names)} hosts are silent"
    return Finding(
        code=IncidentCode.FLEET_SILENT,
        subject_kind=FLEET,
        subject_id=FLEET,
        title=title,
        facts={"hosts": list(names), "put_aside": list(aside), "last_seen": _latest(silent), **_api_facts(api)},
        hosts=names,
    )


def _host(host: HostFact) -> Finding:
    return Finding(
        code=IncidentCode.HOST_SILENT,
        subject_kind="host",
        subject_id=host.name,
        title=f"Host {host.name} does not report, while others do",
        facts={"last_seen": _latest([host])},
        hosts=(host.name,),
    )


def _latest(hosts: Sequence[HostFact]) -> str | None:
    seen = max((host.last_seen for host in hosts if host.last_seen is not None), default=None)
    return None if seen is None else seen.isoformat()


def _api_facts(api: ApiFact) -> dict[str, object]:
    return {
        "github_answered_at": None if api.answered_at is None else api.answered_at.isoformat(),
        "github_failures": api.failures,
        "github_said": api.said,
    }
