"""All slots of this host in one report: those that start runners for claims, and the adopted ones."""

from andon.agent.adoption.supervision import AdoptedRunners
from andon.agent.supervisor import Supervisor
from andon.model.wire import EndReport, SlotReport, SyncAnswer


class HostSlots:
    """What the sync carries (`sync_client.Slots`), put together from both."""

    def __init__(self, supervisor: Supervisor, adopted: AdoptedRunners) -> None:
        self._supervisor, self._adopted = supervisor, adopted
        self.changed = supervisor.changed

    @property
    def has_live_runner(self) -> bool:
        """Whether any runner that we started for a claim lives."""
        return self._supervisor.has_live_runner

    def slots(self) -> tuple[SlotReport, ...]:
        """The configured slots first, then the adopted ones."""
        return (*self._supervisor.slots(), *self._adopted.slots())

    def ended(self) -> tuple[EndReport, ...]:
        """Ends of claims' runners. An adopted runner has no claim, so its end is a state of its slot."""
        return self._supervisor.ended()

    def acknowledge(self, ends: tuple[EndReport, ...]) -> None:
        """The control plane has these ends for good."""
        self._supervisor.acknowledge(ends)

    def apply(self, answer: SyncAnswer) -> None:
        """Does what `answer` asks. Raises OSError."""
        self._supervisor.apply(answer)
        self._adopted.apply(answer)
