"""Calls about the App itself, its installations, and the quota."""

from andon.github.app_payloads import (
    AppHookConfig,
    AppObject,
    InstallationObject,
    InstallationRepositories,
    MadeApp,
    Quota,
    RateLimits,
)
from andon.github.asking import Asking, Listed
from andon.github.call import Call, Priority
from andon.github.outcomes import Failed
from andon.github.payloads import Repository
from andon.github.scope import segment


class AppCalls(Asking):
    """What is asked about the App. Those without an owner need App credentials (else FORBIDDEN)."""

    async def app(self) -> AppObject | Failed:
        """The App: its permissions and events."""
        return await self._ask(_call("GET", "/app", owner=None), AppObject)

    async def app_hook(self) -> AppHookConfig | Failed:
        """Where the App's webhook sends to. Its deliveries: `deliveries(HookLog())`."""
        return await self._ask(_call("GET", "/app/hook/config", owner=None), AppHookConfig)

    async def installations(self) -> Listed[InstallationObject] | Failed:
        """Every installation of the App, with what each was granted."""
        call = _call("GET", "/app/installations", owner=None)
        return await self._list(call, tuple[InstallationObject, ...], lambda page: page)

    async def installation_repositories(
        self, owner: str, *, priority: Priority = Priority.SWEEP
    ) -> Listed[Repository] | Failed:
        """The repositories that the owner's installation sees."""
        call = _call("GET", "/installation/repositories", owner=owner, priority=priority, conditional=True)
        return await self._list(
            call, InstallationRepositories, lambda page: page.repositories, lambda page: page.total_count
        )

    async def rate_limit(self, owner: str) -> dict[str, Quota] | Failed:
        """What is left of each quota; asking costs nothing."""
        limits = await self._ask(_call("GET", "/rate_limit", owner=owner), RateLimits)
        return limits if isinstance(limits, Failed) else limits.resources

    async def convert_manifest(self, code: str) -> MadeApp | Failed:
        """Turns the code of the manifest flow into an App with its secrets: once, within an hour.

        Needs no credential: `Transport(..., Anonymous(), ...)`.
        """
        call = _call(
            "POST", f"/app-manifests/{segment(code)}/conversions", "/app-manifests/{code}/conversions", owner=None
        )
        return await self._ask(call, MadeApp)


def _call(
    method: str,
    path: str,
    template: str | None = None,
    *,
    owner: str | None,
    priority: Priority = Priority.LOOKUP,
    conditional: bool = False,
) -> Call:
    return Call(
        method=method,
        path=path,
        endpoint=f"{method} {template or path}",
        owner=owner,
        priority=Priority.ACT if method == "POST" else priority,
        conditional=conditional,
    )
