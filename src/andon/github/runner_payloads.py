"""GitHub's objects around runners, with the fields that we read (contract section 3)."""

from datetime import UTC, datetime

import msgspec


class RunnerLabel(msgspec.Struct, frozen=True, kw_only=True):
    """A label of a registration; `type` "read-only" for those that GitHub gives itself."""

    name: str
    id: int | None = None
    type: str | None = None


class RunnerObject(msgspec.Struct, frozen=True, kw_only=True):
    """A registration. `status` is "online" or "offline"."""

    id: int
    name: str
    status: str = "offline"
    busy: bool = False
    os: str | None = None
    labels: tuple[RunnerLabel, ...] = ()
    runner_group_id: int | None = None
    ephemeral: bool | None = None
    version: str | None = None
    """Set after the first connection."""


class RunnerList(msgspec.Struct, frozen=True, kw_only=True):
    total_count: int
    runners: tuple[RunnerObject, ...]


class RunnerLabels(msgspec.Struct, frozen=True, kw_only=True):
    total_count: int
    labels: tuple[RunnerLabel, ...]


class JitAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to `generate-jitconfig`. The config is a secret (R26)."""

    runner: RunnerObject
    encoded_jit_config: str

    def __repr__(self) -> str:
        return f"JitAnswer(runner={self.runner!r})"


class RunnerGroup(msgspec.Struct, frozen=True, kw_only=True):
    """A runner group of an organisation."""

    id: int
    name: str
    default: bool = False
    visibility: str | None = None
    allows_public_repositories: bool | None = None


class RunnerGroupList(msgspec.Struct, frozen=True, kw_only=True):
    total_count: int
    runner_groups: tuple[RunnerGroup, ...]


class ExpiringToken(msgspec.Struct, frozen=True, kw_only=True):
    """A registration or removal token, good for an hour; a secret."""

    token: str
    expires_at: datetime

    def __repr__(self) -> str:
        return f"ExpiringToken(expires_at={self.expires_at.isoformat()})"


class RunnerDeprecation(msgspec.Struct, frozen=True, kw_only=True):
    """When a version of the runner program stops getting jobs, and stops being registered (R45).

    None: no day is set yet.
    """

    runner_version: str | None
    runtime_deprecates_at: datetime | None
    registration_deprecates_at: datetime | None


class DeprecationAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The same as GitHub writes it: a day or a time."""

    runner_version: str | None = None
    runtime_deprecates_at: str | None = None
    registration_deprecates_at: str | None = None

    def read(self) -> RunnerDeprecation:
        """With times. Raises ValueError for what is neither a day nor a time."""
        return RunnerDeprecation(
            runner_version=self.runner_version,
            runtime_deprecates_at=_time(self.runtime_deprecates_at),
            registration_deprecates_at=_time(self.registration_deprecates_at),
        )


def _time(said: str | None) -> datetime | None:
    """A day counts from its beginning in UTC."""
    if said is None:
        return None
    at = datetime.fromisoformat(said)
    return at if at.tzinfo else at.replace(tzinfo=UTC)
