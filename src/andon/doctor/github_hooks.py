"""Asks GitHub about webhooks and what they sent, and which versions of runners are about to end."""

from collections.abc import Iterable
from datetime import date, datetime

import msgspec

from andon.doctor.failures import said
from andon.doctor.github_access import Watched
from andon.github.asking import PAGE
from andon.github.client import GitHub
from andon.github.hook_payloads import HookLog, HookObject
from andon.github.outcomes import Failed, FailureClass
from andon.github.scope import Scope, repository_scope
from andon.model.config import Config
from andon.rules.doctor_hook import HookFacts, HooksFacts, SentTry, is_ours
from andon.rules.doctor_runner_version import RunnerVersionFacts

_LOG_PAGES = 20
"""Of a hundred tries each: enough for a day of a busy fleet."""


class FoundHooks(msgspec.Struct, frozen=True, kw_only=True):
    """The webhooks by repository, and the delivery logs of those that send to us."""

    hooks: tuple[HooksFacts, ...]
    logs: tuple[HookLog, ...]


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What GitHub's delivery logs say."""

    tries: tuple[SentTry, ...]
    failed: str | None = None
    """A log that could not be read (to its end), with GitHub's words."""
    caveat: str | None = None
    """A log that is longer than what we read of it."""


class GitHubHooks:
    """The questions about webhooks, deliveries and runners."""

    def __init__(self, config: Config, github: GitHub) -> None:
        self._config, self._github = config, github

    async def hooks(self, there: Watched, address: str | None) -> FoundHooks:
        """The webhooks that could bring the events of these repositories to `address`."""
        if address is None:
            return FoundHooks(hooks=(), logs=())
        if self._config.github.app_id is not None:
            return await self._of_app(address)
        found: list[HooksFacts] = []
        logs: list[HookLog] = []
        for owner in self._config.owner:
            login, names = owner.login, there.names.get(owner.login, ())
            org = Scope(owner=login, repository=None)
            shared = await self._github.hooks(org)
            of_owner = [] if isinstance(shared, Failed) else list(shared.items)
            # An organisation answers 404, too, to who may not see its webhooks: one of them may be ours.
            hidden = _hidden(shared, login) if isinstance(shared, Failed) and login not in there.persons else ""
            logs += _logs(org, of_owner, address)
            if not owner.repositories:
                shown = None if hidden else tuple(_facts(login, hook) for hook in of_owner)
                found.append(HooksFacts(repository=login, hooks=shown, said=hidden))
            for name in names:
                scope = repository_scope(name)
                own = await self._github.hooks(scope)
                ours = any(is_ours(hook.config.url, address) for hook in of_owner)
                if isinstance(own, Failed) and not ours:
                    found.append(HooksFacts(repository=name, hooks=None, said=_hidden(own, name)))
                    continue
                of_repository = [] if isinstance(own, Failed) else list(own.items)
                logs += _logs(scope, of_repository, address)
                facts = [*(_facts(name, hook) for hook in of_repository), *(_facts(login, hook) for hook in of_owner)]
                found.append(HooksFacts(repository=name, hooks=tuple(facts), said=hidden))
        return FoundHooks(hooks=tuple(found), logs=tuple(logs))

    async def _of_app(self, address: str) -> FoundHooks:
        app, hook = await self._github.app(), await self._github.app_hook()
        if isinstance(app, Failed) or isinstance(hook, Failed):
            failed = app if isinstance(app, Failed) else hook
            # An App without a webhook has no configuration of one.
            nothing = isinstance(failed, Failed) and failed.kind is FailureClass.GONE
            words = said(failed) if isinstance(failed, Failed) else ""
            hooks = HooksFacts(repository="the App", hooks=() if nothing else None, said=words)
            return FoundHooks(hooks=(hooks,), logs=())
        facts = HookFacts(
            where="the App",
            url=hook.url,
            events=app.events,
            content_type=hook.content_type,
            secret=hook.secret is not None,
        )
        logs = (HookLog(),) if is_ours(hook.url, address) else ()
        return FoundHooks(hooks=(HooksFacts(repository="the App", hooks=(facts,)),), logs=logs)

    async def sent(self, logs: Iterable[HookLog], since: datetime) -> Sent:
        """Every try since then; with what could not be read. Raises nothing."""
        tries: list[SentTry] = []
        failed: str | None = None
        caveat: str | None = None
        for log in logs:
            cursor: str | None = None
            for _ in range(_LOG_PAGES):
                page = await self._github.deliveries(log, cursor=cursor)
                if isinstance(page, Failed):
                    failed = failed or f"{_name(log)}: the delivery log could not be read ({said(page)})"
                    break
                tries += [
                    SentTry(
                        guid=one.guid,
                        at=one.delivered_at,
                        code=one.status_code,
                        event=one.event,
                        redelivery=one.redelivery,
                    )
                    for one in page.items
                ]
                cursor = page.next
                if cursor is None or (page.items and page.items[-1].delivered_at < since):
                    break
            else:
                caveat = f"{_name(log)}: only the newest {_LOG_PAGES * PAGE} tries were read"
        return Sent(tries=tuple(tries), failed=failed, caveat=caveat)

    async def runner_versions(self, there: Watched) -> tuple[tuple[RunnerVersionFacts, ...], str | None]:
        """The versions of all registered runners, with GitHub's word on each; with what could not be read."""
        by_version: dict[str, list[str]] = {}
        scopes: dict[str, Scope] = {}
        at_repositories = any(owner.runners != "organisation" for owner in self._config.owner)
        partly = there.not_listed if at_repositories else None
        for owner in self._config.owner:
            org = Scope(owner=owner.login, repository=None)
            places = [repository_scope(name) for name in there.names.get(owner.login, ())]
            for scope in [org] if owner.runners == "organisation" else places:
                listed = await self._github.list_runners(scope)
                if isinstance(listed, Failed):
                    partly = f"the runners of {scope.repository or scope.owner} could not be listed ({said(listed)})"
                    continue
                for runner in listed.items:
                    if runner.version:
                        by_version.setdefault(runner.version, []).append(runner.name)
                        scopes[runner.version] = scope
        facts: list[RunnerVersionFacts] = []
        for version, names in sorted(by_version.items()):
            found = await self._github.runner_deprecations(scopes[version], version)
            if isinstance(found, Failed):
                words = "" if found.kind is FailureClass.GONE else said(found)
                facts.append(RunnerVersionFacts(version=version, runners=tuple(names), known=False, said=words))
            else:
                facts.append(
                    RunnerVersionFacts(
                        version=version,
                        runners=tuple(names),
                        no_jobs_from=_day(found.runtime_deprecates_at),
                        no_registration_from=_day(found.registration_deprecates_at),
                    )
                )
        return tuple(facts), partly


def _logs(scope: Scope, hooks: list[HookObject], address: str) -> list[HookLog]:
    return [HookLog(scope=scope, hook_id=hook.id) for hook in hooks if is_ours(hook.config.url, address)]


def _facts(where: str, hook: HookObject) -> HookFacts:
    last = hook.last_response
    return HookFacts(
        where=where,
        url=hook.config.url,
        active=hook.active,
        events=hook.events,
        content_type=hook.config.content_type,
        secret=hook.config.secret is not None,
        last_code=last.code if last else None,
        last_status=last.status if last else None,
    )


def _day(at: datetime | None) -> date | None:
    return at.date() if at is not None else None


def _name(log: HookLog) -> str:
    return "the App" if log.scope is None else log.scope.repository or log.scope.owner


def _hidden(failed: Failed, where: str) -> str:
    if failed.kind in (FailureClass.GONE, FailureClass.FORBIDDEN):
        scope = "admin:repo_hook" if "/" in where else "admin:org_hook"
        return (
            f"webhooks of {where} are hidden from this token ({said(failed)}); with the scope {scope}, or the "
            "permission Webhooks: read, they are seen"
        )
    return f"webhooks of {where} could not be listed ({said(failed)})"
