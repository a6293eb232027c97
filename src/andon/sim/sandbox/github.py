"""The sandbox GitHub as one state machine: everything in memory, no I/O, time and chance handed in.

Its parts are public and are used directly in process; `app.make_app` puts HTTP around them. It is
level-triggered: `tick` does what became due, `next_due` says when to look again.
"""

from datetime import datetime
from typing import Any

from andon.runtime.clock import Clock
from andon.runtime.loop import Nudge
from andon.sim.sandbox.announcements import Announcements
from andon.sim.sandbox.apps import Apps
from andon.sim.sandbox.binding import Binder
from andon.sim.sandbox.callers import Callers
from andon.sim.sandbox.chance import Chance
from andon.sim.sandbox.check_runs import CheckRuns
from andon.sim.sandbox.execution import Execution
from andon.sim.sandbox.faults import Faults
from andon.sim.sandbox.hooks import Hooks
from andon.sim.sandbox.issues import Issues
from andon.sim.sandbox.job_life import JobLife
from andon.sim.sandbox.pulls import Pulls
from andon.sim.sandbox.rate_limits import RateLimits
from andon.sim.sandbox.run_spec import RunSpec
from andon.sim.sandbox.runners import Runners
from andon.sim.sandbox.runs import Runs
from andon.sim.sandbox.timings import Timings
from andon.sim.sandbox.truth import truth
from andon.sim.sandbox.world import World


class SandboxGitHub:
    """One GitHub.

    `accepted_token`: the only API token that is let in besides those made known; None lets any in that is not
    empty, until tokens or Apps are registered through control.
    `shuffle`: whether chance decides which of the fitting runners gets a job.
    `base_url`: the address in everything it hands out; set it before the first run.
    """

    def __init__(
        self,
        clock: Clock,
        chance: Chance,
        *,
        timings: Timings | None = None,
        shuffle: bool = True,
        accepted_token: str | None = None,
        base_url: str = "http://sandbox.invalid",
    ) -> None:
        self.world = World(clock, chance, timings=timings or Timings(), shuffle=shuffle, base_url=base_url)
        self.faults = Faults(self.world)
        self.hooks = Hooks(self.world, self.faults)
        self.announcements = Announcements(self.world, self.hooks)
        self.binder = Binder(self.world, self.faults)
        life = JobLife(self.world, self.binder, self.announcements, self.faults)
        self.runners = Runners(self.world, self.binder, self.faults)
        self.execution = Execution(self.world, self.binder, self.runners, life, self.faults)
        self.apps = Apps(self.world)
        self.callers = Callers(self.world, self.apps, accepted_token)
        self.limits = RateLimits(self.world)
        self.issues = Issues(self.world)
        self.pulls = Pulls(self.world)
        self.check_runs = CheckRuns(self.world)
        self.runs = Runs(self.world, self.binder, life, self.execution, self.announcements, self.faults)

    @property
    def clock(self) -> Clock:
        return self.world.clock

    @property
    def changed(self) -> Nudge:
        """Nudged when `next_due` or the deliveries to be sent may have changed."""
        return self.world.changed

    @property
    def base_url(self) -> str:
        return self.world.base_url

    @base_url.setter
    def base_url(self, address: str) -> None:
        self.world.base_url = address.rstrip("/")

    def tick(self) -> int:
        """Does everything that is due by now; says how many things that were."""
        return self.world.timers.run_due(self.world.now())

    def next_due(self) -> datetime | None:
        """The time of the next `tick` that may have something to do; None: nothing waits for time."""
        return self.world.timers.next_due()

    def create_run(self, spec: RunSpec) -> dict[str, Any]:
        """Starts a run; `{"run_id", "jobs": [ids]}`, jobs in the order given. Raises ApiError 422."""
        self.tick()
        run = self.runs.create(spec)
        return {"run_id": run.id, "jobs": [job.id for job in run.latest.jobs]}

    def truth(self) -> dict[str, Any]:
        """What really happened so far."""
        self.tick()
        return {
            **truth(self.world, self.hooks),
            "faults_struck": list(self.faults.struck),
            "rate_limits": self.limits.truth(),
        }

    def close(self) -> None:
        """Lets go of everybody who waits for a message; nothing is served afterwards."""
        self.world.closing = True
        for session in self.world.sessions.values():
            session.nudge()
        self.world.changed()
