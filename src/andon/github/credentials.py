"""Where a call's token comes from: a fixed token, an App's installations, or none at all."""

from pathlib import Path
from typing import Protocol

from andon.github.app_credentials import AppCredentials
from andon.github.grant import Caller, Grant
from andon.github.outcomes import Failed, FailureClass
from andon.model.config import GitHub
from andon.runtime.clock import Clock
from andon.runtime.errors import Refused
from andon.runtime.files import read_secret


class Credentials(Protocol):
    """What the transport asks before each call."""

    async def token_for(self, owner: str | None, caller: Caller) -> Grant | Failed:
        """The token for calls about this owner; None: for calls of the App itself.

        `caller` carries calls that getting a token may need.
        """
        ...

    def rejected(self, grant: Grant) -> bool:
        """GitHub answered 401 to this grant. True: another one can be had, so try once more."""
        ...


class FixedToken:
    """A personal or fine-grained token that serves every owner. Its 401 is a finding, nothing to retry."""

    def __init__(self, token: str) -> None:
        self._grant = Grant(token=token, account="token", generation=0)

    async def token_for(self, owner: str | None, caller: Caller) -> Grant | Failed:
        if owner is None:
            return Failed(
                kind=FailureClass.FORBIDDEN,
                status=None,
                message="this call is for a GitHub App, and a token is configured",
                local=True,
            )
        return self._grant

    def rejected(self, grant: Grant) -> bool:
        return False


class Anonymous:
    """No credential: for the one call of the manifest flow that needs none."""

    async def token_for(self, owner: str | None, caller: Caller) -> Grant | Failed:
        return Grant(token="", account="nobody", generation=0)

    def rejected(self, grant: Grant) -> bool:
        return False


def credentials_from(config: GitHub, data: Path, clock: Clock) -> FixedToken | AppCredentials:
    """The credentials that `[github]` names; files are relative to `data`.

    Raises Refused for a file that is missing or no key.
    """
    if config.app_id is None:
        return FixedToken(read_secret(data / (config.token_file or "github.token"), what="GitHub token"))
    path = data / (config.private_key_file or "app.pem")
    key = read_secret(path, what="App's private key", text=True)
    try:
        return AppCredentials(app_id=config.app_id, private_key=key, clock=clock)
    except ValueError:
        raise Refused(
            f"{path}: this is no RSA private key in PEM form. Make a new one on the App's settings page."
        ) from None


__all__ = ["Anonymous", "AppCredentials", "Caller", "Credentials", "FixedToken", "Grant", "credentials_from"]
