"""Which webhooks at GitHub send to this control plane: of repositories, organisations, or the App."""

from andon.github.hook_payloads import HookLog
from andon.github.outcomes import Failed, FailureClass
from andon.github.scope import Scope, repository_scope
from andon.loops.fleet import Fleet
from andon.rules.doctor_hook import is_ours

REFRESH_S = 3 * 3600.0
"""How often webhooks are listed; they rarely change."""
AGAIN_S = 600.0
"""How soon again when a question failed, or none was found: somebody may be about to make one."""


class OwnHooks:
    """The delivery logs as last known. A place that did not answer keeps what was known of it (law 4)."""

    def __init__(self, fleet: Fleet, address: str) -> None:
        self._fleet = fleet
        self._address = address
        self._found: dict[Scope | None, tuple[HookLog, ...]] = {}
        self._asked: dict[Scope | None, tuple[float, bool]] = {}
        """When each place was asked (seconds of the monotonic clock), and whether it answered."""

    async def logs(self) -> tuple[HookLog, ...]:
        """The log of each webhook that sends to our address."""
        for place in self._places():
            if self._is_due(place):
                answered = await self._ask(place)
                self._asked[place] = (self._fleet.clock.monotonic(), answered)
        return tuple(log for logs in self._found.values() for log in logs)

    def _is_due(self, place: Scope | None) -> bool:
        """One place that is out of reach is asked again by itself, not all the others with it."""
        at, answered = self._asked.get(place, (float("-inf"), False))
        pause = REFRESH_S if answered and any(self._found.values()) else AGAIN_S
        return self._fleet.clock.monotonic() - at >= pause

    async def _ask(self, place: Scope | None) -> bool:
        return await (self._of_app() if place is None else self._of_place(place))

    async def _of_app(self) -> bool:
        hook = await self._fleet.github.app_hook()
        if isinstance(hook, Failed):
            self._not_listed("the App", hook)
            return False
        self._found[None] = (HookLog(),) if is_ours(hook.url, self._address) else ()
        return True

    async def _of_place(self, scope: Scope) -> bool:
        hooks = await self._fleet.github.hooks(scope)
        if isinstance(hooks, Failed):
            self._not_listed(scope.repository or scope.owner, hooks)
            # That there is nothing to see for us is an answer: a person has no webhooks.
            return hooks.kind in (FailureClass.GONE, FailureClass.FORBIDDEN)
        ours = [hook for hook in hooks.items if is_ours(hook.config.url, self._address)]
        self._found[scope] = tuple(HookLog(scope=scope, hook_id=hook.id) for hook in ours)
        return True

    def _places(self) -> list[Scope] | list[None]:
        return [None] if self._fleet.config.github.app_id is not None else self._scopes()

    def _scopes(self) -> list[Scope]:
        owners = [Scope(owner=owner.login, repository=None) for owner in self._fleet.config.owner]
        return [*owners, *(repository_scope(name) for name in self._fleet.repositories())]

    def _not_listed(self, where: str, failed: Failed) -> None:
        # A person has no webhooks, and a token may not see them: that is nothing to warn of each time.
        self._fleet.log.info("hooks.not_listed", where=where, failure=failed.kind.value, message=failed.message)
