"""The agent's dealings with the control plane: enrolment where it is needed, and then the sync."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from andon import __version__
from andon.agent.backoff import Backoff
from andon.agent.credentials import Credential
from andon.agent.enrolment import EnrolmentRefused, enrol
from andon.agent.host_slots import HostSlots
from andon.agent.kept_policy import KeptPolicy
from andon.agent.layout import Root
from andon.agent.process_identity import boot_id
from andon.agent.sync_client import Deletions, Disks, Leases, SyncClient
from andon.agent.timing import Timing
from andon.model.config import Agent
from andon.runtime.clock import Clock
from andon.runtime.http_client import HttpClient
from andon.runtime.ids import system_random
from andon.runtime.logging import Logger


class ControlPlane:
    """One agent's side of the conversation; `sync` is there once the host is enrolled."""

    def __init__(
        self,
        agent: Agent,
        credential: Credential,
        root: Root,
        data: Path,
        supervisor: HostSlots,
        policy: KeptPolicy,
        *,
        leases: Leases | None = None,
        deletions: Deletions | None = None,
        disks: Disks = tuple,
        look_again: Callable[[], Awaitable[None]] | None = None,
        clock: Clock,
        timing: Timing,
        log: Logger,
    ) -> None:
        self._agent, self._credential, self._root, self._data = agent, credential, root, data
        self._supervisor, self._policy, self._leases = supervisor, policy, leases
        self._deletions, self._disks, self._look_again = deletions, disks, look_again
        self._clock, self._timing, self._log = clock, timing, log
        self.sync: SyncClient | None = None

    def _backoff(self) -> Backoff:
        timing = self._timing
        return Backoff(first=timing.first_retry, longest=timing.longest_retry, chance=system_random().random)

    def _client(self, token: str | None) -> HttpClient:
        ca_file = self._data / self._agent.ca_file if self._agent.ca_file else None
        return HttpClient(self._agent.server, token=token, ca_file=ca_file)

    async def run(self) -> None:
        """Runs until cancelled. Raises Refused while no runner lives: for an enrolment or a host token
        that is refused, and for a CA file that cannot be used."""
        token = self._credential.token if self._credential.is_host_token else await self._enrol()
        client = self._client(token)
        try:
            self.sync = SyncClient(
                client,
                self._supervisor,
                host=self._agent.name,
                boot_id=boot_id(),
                version=__version__,
                clock=self._clock,
                timing=self._timing,
                backoff=self._backoff(),
                log=self._log,
                heard=self._policy.hear,
                may_leave=lambda: not self._supervisor.has_live_runner,
                leases=self._leases,
                deletions=self._deletions,
                disks=self._disks,
                look_again=self._look_again,
            )
            await self.sync.run()
        finally:
            await client.close()

    async def _enrol(self) -> str:
        client = self._client(None)
        try:
            while True:
                try:
                    return await enrol(
                        client,
                        self._credential,
                        name=self._agent.name,
                        version=__version__,
                        root=self._root,
                        clock=self._clock,
                        backoff=self._backoff(),
                        log=self._log,
                    )
                except EnrolmentRefused as refused:
                    if not self._supervisor.has_live_runner:
                        raise
                    # Leaving would not end the runners, but nobody would write down how they end.
                    self._log.error("enrolment.refused", reason=str(refused))
                    await self._clock.sleep(self._timing.refused_retry)
        finally:
            await client.close()
