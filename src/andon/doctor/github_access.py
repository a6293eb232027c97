"""Asks GitHub what we may do: repositories, permissions, runner groups, quota."""

from datetime import UTC, datetime

import msgspec

from andon.doctor.failures import said
from andon.github.call import Call
from andon.github.client import GitHub
from andon.github.outcomes import Failed, FailureClass
from andon.github.scope import Scope, repository_path, repository_scope
from andon.github.transport import Transport
from andon.model.config import Config, Owner
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
            answered=not isinstance(got, Failed) or got.status is not None,
            # A server that counts no quota has no such page; whoever it refuses, it tells.
            accepted=not isinstance(got, Failed) or got.kind is FailureClass.GONE,
            said=said(got) if isinstance(got, Failed) else "",
            ahead_s=skew.ahead_s if skew is not None else None,
        )
        scopes = None if isinstance(got, Failed) else _scopes(got.headers.get("x-oauth-scopes"))
        kind = "app" if self._is_app else "classic token" if scopes is not None else "fine-grained token"
        return facts, Access(kind=kind, scopes=scopes)

    async def watched(self, owner: Owner) -> tuple[str, ...]:
        """The repositories of this owner: the configuration's, or all that the installation sees."""
        if owner.repositories or not self._is_app:
            return owner.repositories
        listed = await self._github.installation_repositories(owner.login)
        return () if isinstance(listed, Failed) else tuple(one.full_name for one in listed.items)

    async def repository(self, name: str) -> RepositoryFacts:
        """Whether it is there."""
        path = repository_path(name)
        got = await self._transport.send(
            Call(method="GET", path=path, endpoint="GET /repos/{repo}", owner=name.partition("/")[0])
        )
        if not isinstance(got, Failed):
            return RepositoryFacts(name=name, there=True)
        return RepositoryFacts(name=name, there=False if got.kind is FailureClass.GONE else None, said=said(got))

    async def access(self, first: Access, repositories: dict[str, tuple[str, ...]]) -> AccessFacts:
        """What was granted, and what harmless calls show. `repositories`: those that are there, by owner."""
        probes: list[Probe] = []
        for owner in self._config.owner:
            names = repositories.get(owner.login, ())
            for name in names:
                probes.append(await self._reads_runs(name))
            scopes = (
                [Scope(owner=owner.login, repository=None)]
                if owner.runners == "organisation"
                else [repository_scope(name) for name in names]
            )
            for scope in scopes:
                probes.append(await self._registers(scope))
        return AccessFacts(
            kind=first.kind,
            scopes=first.scopes,
            installations=await self._installations() if self._is_app else None,
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

    async def _installations(self) -> tuple[InstallationFacts, ...] | None:
        listed = await self._github.installations()
        if isinstance(listed, Failed):
            return None
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


def _scopes(header: str | None) -> tuple[str, ...] | None:
    """The scopes of a classic token; None for any other, which GitHub answers without this header."""
    return None if header is None else tuple(one.strip() for one in header.split(",") if one.strip())


def _probe(permission: str, level: str, where: str, failed: Failed | None) -> Probe:
    allowed: bool | None = True
    if failed is not None:
        allowed = False if failed.kind in _REFUSED else None
    return Probe(permission=permission, level=level, where=where, allowed=allowed, said=said(failed) if failed else "")
