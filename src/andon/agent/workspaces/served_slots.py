"""Which `[pool.workspace]` a slot's jobs have, and the plan by which hooks know it while no agent answers."""

from andon.agent.hooks.plan import HookPlan, PlannedSlot, planned_slot, write_plan
from andon.agent.layout import Root
from andon.agent.slot_table import Slot
from andon.model.config import Agent, Workspace
from andon.model.host_policy import HostPolicy


class ServedSlots:
    """The configured slots and, from each `also` on, the adopted ones."""

    def __init__(self, agent: Agent, root: Root, slots: tuple[Slot, ...]) -> None:
        self._agent, self._root = agent, root
        self._configured = {slot.number: slot.pool for slot in slots}
        self._adopted: dict[int, str] = {}

    def also(self, adopted: tuple[Slot, ...]) -> None:
        """These adopted slots, and no others. One without a pool has the one that the control plane says."""
        self._adopted = {slot.number: slot.pool for slot in adopted}

    def workspace(self, policy: HostPolicy, slot: int) -> Workspace:
        """The settings of the slot's pool; the defaults for one that serves none."""
        own = self._configured.get(slot) or self._adopted.get(slot)
        return policy.workspaces.get(own or policy.slot_pools.get(str(slot), ""), Workspace())

    def plan(self, policy: HostPolicy) -> None:
        """Writes the plan down for hooks. Raises OSError."""
        told: dict[str, PlannedSlot] = {}
        for number in (*self._configured, *self._adopted):
            space = self.workspace(policy, number)
            # In an adopted runner's work folder `_andon` is the agent's: a hook there can make nothing by itself.
            if number in self._configured or space.place == "root":
                told[str(number)] = planned_slot(space)
        isolation = self._agent.isolation
        plan = HookPlan(host=self._agent.name, isolation=isolation, public_url=policy.public_url, slots=told)
        write_plan(self._root, plan)
