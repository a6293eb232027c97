"""What the handlers work with, made once by the composition root, and reached by every request."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from starlette.requests import HTTPConnection

from andon.model.config import Config
from andon.runtime.clock import Clock
from andon.runtime.logging import Logger
from andon.runtime.loop import Nudge
from andon.store.intake import Intake
from andon.store.transaction import Store
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
    changes: Nudge = field(default_factory=Nudge)
    """Nudged after every commit that woke somebody: the live stream listens."""
    stopping: bool = False
    """No more work is taken: streams end, so that the server need not wait for them."""
    _hosts: dict[str, Nudge] = field(default_factory=dict[str, Nudge])

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
