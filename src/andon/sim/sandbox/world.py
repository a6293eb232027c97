"""Everything that exists in one sandbox, and the means to make more of it: time, ids, chance."""

import uuid
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

from andon.runtime.clock import Clock
from andon.runtime.loop import Nudge
from andon.sim.sandbox.app_records import App, Installation
from andon.sim.sandbox.chance import Chance
from andon.sim.sandbox.records import Job, Repository, Run, Runner, RunnerGroup, Session
from andon.sim.sandbox.refusals import not_found
from andon.sim.sandbox.timers import Timers
from andon.sim.sandbox.timings import Timings

_UUID_EPOCH = datetime(1582, 10, 15, tzinfo=UTC)
_FIRST_IDS = {"repository": 700_000_001, "owner": 9_000_001, "workflow": 80_000_001, "run": 17_000_000_001,
              "job": 48_000_000_001, "runner": 1, "hook": 400_000_001, "delivery": 1_700_000_000_001, "label": 1,
              "turn": 1, "pull_request": 1, "fault": 1, "app": 300_001, "installation": 50_000_001, "group": 2,
              "issue": 2_500_000_001, "comment": 3_600_000_001, "check_run": 60_000_000_001}  # fmt: skip


class World:
    """The shared state of the sandbox's parts. `base_url` stands in all addresses it hands out."""

    def __init__(self, clock: Clock, chance: Chance, *, timings: Timings, shuffle: bool, base_url: str) -> None:
        self.clock = clock
        self.chance = chance
        self.timings = timings
        self.shuffle = shuffle
        self.base_url = base_url
        self.changed = Nudge()
        """Nudged whenever a delivery or a time may have become due."""
        self.timers = Timers(self.changed)
        self.closing = False
        self.repositories: dict[str, Repository] = {}
        self.owners: dict[str, int] = {}
        self.runs: dict[int, Run] = {}
        self.jobs: dict[int, Job] = {}
        self.runners: dict[int, Runner] = {}
        """All that ever were; `removed_at` tells the gone ones."""
        self.runners_at: defaultdict[str, dict[int, Runner]] = defaultdict(dict)
        """The registered ones by scope."""
        self.runner_by_name: dict[tuple[str, str], Runner] = {}
        self.runner_by_token: dict[str, Runner] = {}
        self.runner_groups: dict[int, RunnerGroup] = {1: RunnerGroup(id=1, name="Default", owner=None)}
        self.deprecations: dict[str, tuple[str | None, str | None]] = {}
        """By runner version, when it stops to work and to be registered (RFC 3339)."""
        self.apps: dict[int, App] = {}
        self.installations: dict[int, Installation] = {}
        """The installations that are there, of all Apps."""
        self.sessions: dict[str, Session] = {}
        self.registrations: list[dict[str, object]] = []
        self.calls: Counter[str] = Counter()
        """Calls of GitHub's API by endpoint and status: `POST /repos/... 201`."""
        self.unchanged: Counter[str] = Counter()
        """Of them those whose answer was 304, by the same names: they cost nothing of the quota."""
        self._ids = dict(_FIRST_IDS)
        self._last_guid_time = 0
        self._guid_place = chance.getrandbits(48) | (1 << 40)

    def now(self) -> datetime:
        return self.clock.now()

    def after(self, seconds: float) -> datetime:
        return self.clock.now() + timedelta(seconds=seconds)

    def new_id(self, kind: str) -> int:
        made = self._ids[kind]
        self._ids[kind] = made + 1
        return made

    def new_token(self, bits: int = 192) -> str:
        return f"{self.chance.getrandbits(bits):0{bits // 4}x}"

    def new_guid(self) -> str:
        """A UUID of version 1 that carries the time now; later ones always carry later times.

        Observed on real deliveries (github-contract.md section 1).
        """
        ticks = (self.now() - _UUID_EPOCH) // timedelta(microseconds=1) * 10
        ticks = max(ticks, self._last_guid_time + 1)
        self._last_guid_time = ticks
        chance = self.chance.getrandbits(14)
        fields = (ticks & 0xFFFFFFFF, (ticks >> 32) & 0xFFFF, (ticks >> 48) & 0x0FFF, chance >> 8, chance & 0xFF)
        return str(uuid.UUID(fields=(*fields, self._guid_place), version=1))

    def repository(self, full_name: str) -> Repository:
        """The repository of this name; raises ApiError 404."""
        found = self.repositories.get(full_name.lower())
        if found is None:
            raise not_found()
        return found

    def make_repository(self, full_name: str, *, private: bool = True, default_branch: str = "main") -> Repository:
        """The repository of this name, made when there is none yet."""
        found = self.repositories.get(full_name.lower())
        if found is None:
            owner, _, name = full_name.partition("/")
            found = Repository(
                id=self.new_id("repository"),
                owner=owner,
                name=name,
                owner_id=self.owner_id(owner),
                private=private,
                default_branch=default_branch,
            )
            self.repositories[found.key] = found
        return found

    def set_private(self, repository: Repository, *, private: bool) -> None:
        """Changes who may see a repository."""
        repository.private = private
        repository.shown.clear()

    def owner_id(self, login: str) -> int:
        """The owner's id; a login that is new gets one."""
        key = login.lower()
        if key not in self.owners:
            self.owners[key] = self.new_id("owner")
        return self.owners[key]
