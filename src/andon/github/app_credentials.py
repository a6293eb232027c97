"""A GitHub App's credentials: a proof of its own, and an hour's token for each installation.

Installations are looked up by owner. Tokens are made when one is needed, renewed ahead of their
end, by one call at a time for an installation however many wait, and dropped at a 401.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from andon.github.app_jwt import LIFE, make_jwt, read_key
from andon.github.app_payloads import InstallationObject, InstallationToken
from andon.github.asking import decode, encode
from andon.github.call import Call, Priority
from andon.github.grant import Caller, Grant
from andon.github.outcomes import Failed, FailureClass
from andon.github.scope import segment
from andon.runtime.clock import Clock

AHEAD_S = 300.0
"""A token is renewed this long before its end ..."""
LAST_S = 10.0
"""... and used up to here when renewing fails."""
PROOF_S = LIFE.total_seconds() / 2
ABSENT_S = 60.0
"""How long "not installed" is believed before it is asked again."""


class _Held(msgspec.Struct, kw_only=True):
    """What is known of one owner's installation."""

    installation: int | None = None
    grant: Grant | None = None
    ends: float = 0.0
    """Monotonic end of the grant by GitHub's word."""
    finding: Failed | None = None
    finding_until: float = 0.0


class AppCredentials:
    """Tokens of one App. `private_key` is PEM text; raises ValueError when it is no RSA key.

    `permissions` narrows every token to these, as {"actions": "write"}; GitHub refuses what the
    installation was not granted.
    """

    def __init__(
        self, *, app_id: int, private_key: str, clock: Clock, permissions: Mapping[str, str] | None = None
    ) -> None:
        self._app_id = app_id
        self._key = read_key(private_key)
        self._clock = clock
        self._permissions = dict(permissions or {})
        self._held: dict[str, _Held] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._generation = 0
        self._proof: tuple[Grant, float] | None = None

    async def token_for(self, owner: str | None, caller: Caller) -> Grant | Failed:
        """The owner's installation token, or the App's proof; Failed where there is no installation."""
        if owner is None:
            return self._own(caller)
        login = owner.lower()
        held = self._held.setdefault(login, _Held())
        if (known := self._fresh(held, AHEAD_S)) is not None:
            return known
        async with self._turns.setdefault(login, asyncio.Lock()):
            # Whoever waited finds what the one before has got.
            if (known := self._fresh(held, AHEAD_S)) is not None:
                return known
            made = await self._renew(login, held, caller)
            if isinstance(made, Failed) and isinstance(old := self._fresh(held, LAST_S), Grant):
                return old
            return made

    def rejected(self, grant: Grant) -> bool:
        """Drops the grant wherever it is held."""
        if self._proof is not None and self._proof[0].generation == grant.generation:
            self._proof = None
        for held in self._held.values():
            if held.grant is not None and held.grant.generation == grant.generation:
                held.grant = None
        return True

    def _fresh(self, held: _Held, margin: float) -> Grant | Failed | None:
        now = self._clock.monotonic()
        if held.grant is not None and now < held.ends - margin:
            return held.grant
        if held.finding is not None and now < held.finding_until:
            return held.finding
        return None

    async def _renew(self, login: str, held: _Held, caller: Caller) -> Grant | Failed:
        for last in (False, True):
            if held.installation is None:
                found = await self._look_up(login, caller)
                if isinstance(found, Failed):
                    return self._remember(held, found)
                held.installation = found.id
            made = await self._make(held.installation, caller)
            if isinstance(made, Failed) and made.kind is FailureClass.GONE and not last:
                # Uninstalled, and maybe installed anew under another id.
                held.installation = None
                continue
            if isinstance(made, Failed):
                return self._remember(held, _as_finding(made, login))
            held.finding = None
            token, at = made
            # Its life, not a time of day: a clock that jumps ends no token.
            held.ends = self._clock.monotonic() + (token.expires_at - at).total_seconds()
            self._generation += 1
            account = f"installation {held.installation}"
            held.grant = Grant(token=token.token, account=account, generation=self._generation)
            return held.grant
        raise AssertionError("the second round always ends")

    async def _look_up(self, login: str, caller: Caller) -> InstallationObject | Failed:
        for kind in ("orgs", "users"):
            call = Call(
                method="GET",
                path=f"/{kind}/{segment(login)}/installation",
                endpoint=f"GET /{kind}/{{name}}/installation",
                owner=None,
                priority=Priority.ACT,
            )
            found = decode(await caller.send(call), InstallationObject)
            if isinstance(found, Failed) and found.kind is FailureClass.GONE:
                continue
            if isinstance(found, InstallationObject) and found.suspended_at is not None:
                return _finding(f'the App\'s installation at "{login}" is suspended. Unsuspend it on its page')
            return found
        return _finding(f'the App {self._app_id} is not installed at "{login}". Install it there')

    async def _make(self, installation: int, caller: Caller) -> "tuple[InstallationToken, datetime] | Failed":
        """A token, and GitHub's time of its making."""
        call = Call(
            method="POST",
            path=f"/app/installations/{installation}/access_tokens",
            endpoint="POST /app/installations/{id}/access_tokens",
            owner=None,
            body=encode(permissions=self._permissions) if self._permissions else None,
            priority=Priority.ACT,
        )
        got = await caller.send(call)
        if isinstance(got, Failed):
            return got
        made = decode(got, InstallationToken)
        return made if isinstance(made, Failed) else (made, got.at or caller.github_now())

    def _remember(self, held: _Held, failed: Failed) -> Failed:
        """Keeps a finding for a while: an owner without an installation must not cost calls each time."""
        if failed.kind is not FailureClass.UNAUTHORISED or failed.status is not None:
            return failed
        held.finding_until = self._clock.monotonic() + ABSENT_S
        until = self._clock.now() + timedelta(seconds=ABSENT_S)
        held.finding = msgspec.structs.replace(failed, until=until)
        return held.finding

    def _own(self, caller: Caller) -> Grant:
        now = self._clock.monotonic()
        if self._proof is None or now >= self._proof[1]:
            self._generation += 1
            proof = make_jwt(self._app_id, self._key, caller.github_now())
            grant = Grant(token=proof, account=f"app {self._app_id}", generation=self._generation)
            self._proof = (grant, now + PROOF_S)
        return self._proof[0]


def _finding(sentence: str) -> Failed:
    """What somebody has to mend at GitHub; never GONE, which a reader could take for "not there"."""
    return Failed(kind=FailureClass.UNAUTHORISED, status=None, message=sentence, local=True)


def _as_finding(failed: Failed, login: str) -> Failed:
    """What a refused token means: the credential is of no use for this owner."""
    if failed.kind in (FailureClass.FORBIDDEN, FailureClass.INVALID, FailureClass.GONE):
        return _finding(f'GitHub gives no token for the App\'s installation at "{login}": {failed.message}')
    return failed
