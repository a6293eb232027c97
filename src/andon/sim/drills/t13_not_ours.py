"""T13: the collector of orphans removed what it did not own."""

from andon.sim.drills.drill import Drill, expect
from andon.sim.simulation.simulation import LABELS, REPOSITORY, Simulation

THEIRS = ("their-old-box", "andon-fleets-are-nice")


async def _somebody_elses(fleet: Simulation) -> None:
    """Offline runners that others registered here, one with a name nearly like ours, are left alone for an hour."""
    for name in THEIRS:
        fleet.github.runners.register(REPOSITORY, name=name, labels=(*LABELS, "theirs"), ephemeral=False)
    for _ in range(4):
        fleet.run([30.0, 30.0])
        await fleet.pass_time(900.0)
    gone = set(THEIRS) - fleet.registered()
    expect(fleet, not gone, f"registrations that are not ours were removed: {', '.join(sorted(gone))}")
    for runner in [each for each in fleet.github.world.runners.values() if each.name in THEIRS]:
        fleet.github.runners.deregister(runner, "the drill is over")


DRILLS = (
    Drill(
        id="T13",
        title="registrations that others made are never removed",
        protection="only ours",
        story=_somebody_elses,
    ),
)
