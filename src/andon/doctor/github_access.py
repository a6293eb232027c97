"""Asks GitHub what we may do: repositories, permissions, runner groups, quota."""

from datetime import UTC, datetime

import msgspec

from andon.doctor.failures import said
from andon.github.call import Call
from andon.github.client import GitHub
from andon.github.outcomes import Failed, FailureClass, Got
from andon.github.scope import Scope, repository_path, repository_scope
from andon.github.transport import Transport
from andon.model.config import Config
from andon.rules.doctor_budget import QuotaFacts
from andon.rules.doctor_github import (
    AccessFacts,
    AnswerFacts,
    GroupFacts,
    InstallationFacts,
    Probe,
    RepositoryFacts,
)

_REFUSED = (FailureClass.UNAUTHORISED, FailureClass.FORBIDDEN)


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """What the first look told: the credential's kind, and each owner's repositories."""

    kind: str
    scopes: tuple[str, ...] | None


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """The repositories that are to be watched."""

    names: dict[str, tuple[str, ...]]
    """By owner; an owner whose repositories could not be listed has none."""
    not_listed: str | None = None
    """Whose could not be listed, with GitHub's words; None: all were."""
    persons: frozenset[str] = frozenset()
    """Owners that are no organisations by GitHub's word."""


class _Owner(msgspec.Struct, frozen=True, kw_only=True):
    type: str | None = None


class _Owned(msgspec.Struct, frozen=True, kw_only=True):
    owner: _Owner | None = None


class GitHubAccess:
    """The questions about access. `transport` is the client's own, for answers whose headers matter."""

    def __init__(self, config: Config, github: GitHub, transport: Transport) -> None:
        self._config, self._github, self._transport = config, github, transport
        self._is_app = config.github.app_id is not None

    async def answer(self) -> tuple[AnswerFacts, Access]:
        """The first call: whether GitHub answers, takes the credential, and what kind that is."""
        owner = None if self._is_app else (self._config.owner[0].login if self._config.owner else "")
        path = "/app" if self._is_app else "/rate_limit"
        got = await self._transport.send(Call(method="GET", path=path, endpoint=f"GET {path}", owner=owner))
        skew = self._github.clock_skew()
        facts = AnswerFacts(
            api_url=self._config.github.api_url,
            answered=_is_answer(got),
            accepted=_is_accepted(got),
            said=said(got) if isinstance(got, Failed) else "",
            ahead_s=skew.ahead_s if skew is not None else None,
        )
        scopes = None if isinstance(got, Failed) else _scopes(got.headers.get("x-oauth-scopes"))
        kind = "app" if self._is_app else "classic token" if scopes is not None else "fine-grained token"
        return facts, Access(kind=kind, scopes=scopes)

    async def watched(self) -> Watched:
        """The repositories of each owner: the configuration's, or all that the installation sees."""
        names: dict[str, tuple[str, ...]] = {}
        not_listed: str | None = None
        for owner in self._config.owner:
            names[owner.login] = owner.repositories
            if owner.repositories or not self._is_app:
                continue
            listed = await self._github.installation_repositories(owner.login)
            if isinstance(listed, Failed):
                not_listed = not_listed or f"the repositories of {owner.login} could not be listed ({said(listed)})"
            else:
                names[owner.login] = tuple(one.full_name for one in listed.items)
        return Watched(names=names, not_listed=not_listed)

    async def repositories(self, watched: Watched) -> tuple[tuple[RepositoryFacts, ...], Watched]:
        """Each of them, and those that are there, or may be; with whose owners are persons."""
        facts = {login: [await self._repository(name) for name in names] for login, names in watched.names.items()}
        there = Watched(
            names={login: tuple(one.name for one in of if one.there is not False) for login, of in facts.items()},
            not_listed=watched.not_listed,
            persons=frozenset(login for login, of in facts.items() if any(one.of_person for one in of)),
        )
        return tuple(one for of in facts.values() for one in of), there

    async def _repository(self, name: str) -> RepositoryFacts:
        path = repository_path(name)
        got = await self._transport.send(
            Call(method="GET", path=path, endpoint="GET /repos/{repo}", owner=name.partition("/")[0])
        )
        if not isinstance(got, Failed):
            return RepositoryFacts(name=name, there=True, of_person=_is_of_person(got.body))
        return RepositoryFacts(name=name, there=False if got.kind is FailureClass.GONE else None, said=said(got))

    async def access(self, first: Access, there: Watched) -> AccessFacts:
        """What was granted, and what harmless calls show. `there`: the repositories that are."""
        probes: list[Probe] = []
        for owner in self._config.owner:
            names = there.names.get(owner.login, ())
            for name in names:
                probes.append(await self._reads_runs(name))
            scopes = (
                [Scope(owner=owner.login, repository=None)]
                if owner.runners == "organisation"
                else [repository_scope(name) for name in names]
            )
            for scope in scopes:
                probes.append(await self._registers(scope))
        installations = await self._installations() if self._is_app else None
        not_listed = there.not_listed
        if isinstance(installations, Failed):
            not_listed = f"the App's installations could not be listed ({said(installations)})"
            installations = None
        return AccessFacts(
            kind=first.kind,
            scopes=first.scopes,
            installations=installations,
            not_listed=not_listed,
            probes=tuple(probes),
        )

    async def _reads_runs(self, name: str) -> Probe:
        got = await self._transport.send(
            Call(
                method="GET",
                path=f"{repository_path(name)}/actions/runs",
                endpoint="GET /repos/{repo}/actions/runs",
                owner=name.partition("/")[0],
                query={"per_page": "1"},
            )
        )
        return _probe("actions", "read", name, got if isinstance(got, Failed) else None)

    async def _registers(self, scope: Scope) -> Probe:
        got = await self._github.registration_token(scope)
        permission = "administration" if scope.repository else "organization_self_hosted_runners"
        where = scope.repository or scope.owner
        return _probe(permission, "write", where, got if isinstance(got, Failed) else None)

    async def _installations(self) -> tuple[InstallationFacts, ...] | Failed:
        listed = await self._github.installations()
        if isinstance(listed, Failed):
            return listed
        found = {one.account.login.lower(): one for one in listed.items if one.account is not None}
        facts: list[InstallationFacts] = []
        for owner in self._config.owner:
            one = found.get(owner.login.lower())
            facts.append(
                InstallationFacts(
                    owner=owner.login,
                    installed=one is not None,
                    suspended=one is not None and one.suspended_at is not None,
                    permissions=one.permissions if one is not None else {},
                )
            )
        return tuple(facts)

    async def groups(self) -> tuple[GroupFacts, ...]:
        """The runner groups of owners whose runners are the organisation's."""
        facts: list[GroupFacts] = []
        for owner in self._config.owner:
            if owner.runners != "organisation":
                continue
            listed = await self._github.runner_groups(owner.login)
            if isinstance(listed, Failed):
                facts.append(GroupFacts(owner=owner.login, groups=None, said=said(listed)))
            else:
                facts.append(GroupFacts(owner=owner.login, groups=tuple(group.id for group in listed.items)))
        return tuple(facts)

    async def quotas(self) -> tuple[QuotaFacts, ...]:
        """What each owner's credential has left."""
        facts: list[QuotaFacts] = []
        for owner in self._config.owner:
            found = await self._github.rate_limit(owner.login)
            if isinstance(found, Failed) or (core := found.get("core")) is None:
                words = said(found) if isinstance(found, Failed) else "GitHub counts no calls here"
                facts.append(QuotaFacts(owner=owner.login, limit=None, said=words))
            else:
                resets = datetime.fromtimestamp(core.reset, UTC)
                facts.append(
                    QuotaFacts(owner=owner.login, limit=core.limit, remaining=core.remaining, resets_at=resets)
                )
        return tuple(facts)


def _is_answer(got: Got | Failed) -> bool:
    """Whether GitHub itself spoke: a 502 comes from what stands before it."""
    if not isinstance(got, Failed):
        return True
    return got.local or (got.status is not None and got.kind is not FailureClass.RETRY_LATER)


def _is_accepted(got: Got | Failed) -> bool | None:
    """Whether it takes our credential; None: the answer does not tell, as at a rate limit."""
    if not isinstance(got, Failed) or got.kind is FailureClass.GONE:
        # A server that counts no quota has no such page; whoever it refuses, it tells.
        return True
    return False if got.kind in _REFUSED else None


def _is_of_person(body: bytes) -> bool:
    try:
        found = msgspec.json.decode(body, type=_Owned)
    except msgspec.MsgspecError:
        return False
    return found.owner is not None and found.owner.type == "User"


def _scopes(header: str | None) -> tuple[str, ...] | None:
    """The scopes of a classic token; None for any other, which GitHub answers without this header."""
    return None if header is None else tuple(one.strip() for one in header.split(",") if one.strip())


def _probe(permission: str, level: str, where: str, failed: Failed | None) -> Probe:
    allowed: bool | None = True
    if failed is not None:
        allowed = False if failed.kind in _REFUSED else None
    return Probe(permission=permission, level=level, where=where, allowed=allowed, said=said(failed) if failed else "")
