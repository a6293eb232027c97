"""What the handlers work with, made once by the composition root, and reached by every request."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from starlette.requests import HTTPConnection

from andon.model.config import Config
from andon.rules.liveness_fleet import ApiFact
from andon.runtime.clock import Clock
from andon.runtime.logging import Logger
from andon.runtime.loop import Nudge
from andon.store.intake import Intake
from andon.store.transaction import Store
from andon.web.board_content import Board
from andon.web.degradation import Degradation
from andon.web.metrics import Metrics


@dataclass(kw_only=True)
class ControlPlane:
    """One control plane process, as its web room sees it."""

    config: Config
    store: Store
    intake: Intake
    """The way of deliveries into the store, or onto the disk."""
    clock: Clock
    log: Logger
    metrics: Metrics
    public_url: str
    started_at: datetime
    webhook_secret: str
    enrolment_secret: str
    operator_token: str
    viewer_token: str | None
    new_secret: Callable[[], str]
    ready: Callable[[], str | None]
    """None when ready; else what is still missing, as a sentence."""
    github: Callable[[], ApiFact] = lambda: ApiFact(answered_at=None, failing_since=None)
    """How the last calls of this process to GitHub went."""
    sweep_s: Callable[[], Mapping[str, float]] = dict[str, float]
    """Seconds from one sweep to the next at present, by owner; empty where another process sweeps."""
    changes: Nudge = field(default_factory=Nudge)
    """Nudged after every commit that woke somebody: the live stream listens."""
    stopping: bool = False
    """No more work is taken: streams end, so that the server need not wait for them."""
    _hosts: dict[str, Nudge] = field(default_factory=dict[str, Nudge])
    last_board: Board | None = None
    """As it was read last, for the time that the database is away."""
    last_board_at: datetime | None = None
    degradation: Degradation = field(init=False)
    """What works less than it should, also while the database is away."""

    def __post_init__(self) -> None:
        self.degradation = Degradation(
            config=self.config,
            store=self.store,
            intake=self.intake,
            clock=self.clock,
            github=lambda: self.github(),
            sweep_s=lambda: self.sweep_s(),
        )

    def host_nudge(self, host: str) -> Nudge:
        """What wakes the held sync of this host."""
        return self._hosts.setdefault(host, Nudge())

    def wake_hosts(self) -> None:
        """Lets every held sync look again."""
        for nudge in self._hosts.values():
            nudge()

    def stop(self) -> None:
        """Lets every open stream and every held sync notice that the server stops."""
        self.stopping = True
        self.changes()
        self.wake_hosts()


def control_plane(request: HTTPConnection) -> ControlPlane:
    """The control plane that this request came to."""
    found = request.app.state.control_plane
    assert isinstance(found, ControlPlane)
    return found
