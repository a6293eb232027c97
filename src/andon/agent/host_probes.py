"""The start probes of one host: of the slots that we start runners on, and of adopted runners (R43, R91)."""

from collections.abc import Callable

import msgspec

from andon.agent.adoption.supervision import AdoptedRunners
from andon.agent.host_slots import HostSlots
from andon.agent.launch import Launcher
from andon.agent.slot_table import Slot
from andon.agent.start_probe import Failed, try_adopted, try_start
from andon.agent.start_probes import StartProbes
from andon.agent.supervisor import Supervisor
from andon.model.wire import SlotState
from andon.runtime.clock import Clock
from andon.runtime.ids import system_random
from andon.runtime.logging import Logger


def probes_of(
    launcher: Launcher,
    supervisor: Supervisor,
    adopted: AdoptedRunners,
    *,
    no_room: Callable[[], object],
    clock: Clock,
    log: Logger,
) -> StartProbes:
    """`no_room` is called when a try below the agent's root was refused for want of room."""
    host = HostSlots(supervisor, adopted)

    def slots() -> tuple[Slot, ...]:
        ours = supervisor.served()
        numbers = {slot.number for slot in ours}
        # One that becomes a JIT slot is ours under the number that it had.
        return (*ours, *(slot for slot in adopted.as_slots() if slot.number not in numbers))

    async def attempt(slot: Slot) -> Failed | None:
        runner = None if slot.command else next((one for one in adopted.adopted() if one.slot == slot.number), None)
        if runner is None:
            return await try_start(launcher, slot, clock=clock)
        failed = await try_adopted(launcher, runner, clock=clock)
        # Its work folder is not below our root.
        return None if failed is None else msgspec.structs.replace(failed, no_room=False)

    def renewed(slot: Slot) -> bool:
        """Nobody asks before an adopted runner takes a job, so it is tried from time to time while it has none."""
        idle = {one.slot for one in host.slots() if one.state is SlotState.IDLE}
        return not slot.command and slot.number in idle

    return StartProbes(
        slots,
        attempt,
        renewed=renewed,
        changed=supervisor.changed,
        no_room=no_room,
        chance=system_random().random,
        clock=clock,
        log=log,
    )
