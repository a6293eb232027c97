"""`andon agent install`: users of slots, folders and the unit of this machine's agent."""

from andon.cli.configuration import load_for_agent
from andon.cli.installing import check_root, install
from andon.cli.options import ConfigFile, DataFolder, Json, PlanOnly, RootPrefix
from andon.setup.agent_install import plan_agent_install
from andon.setup.machine import Machine


def agent_install(
    *,
    config: ConfigFile = None,
    data: DataFolder = None,
    plan: PlanOnly = False,
    root_prefix: RootPrefix = None,
    json: Json = False,
) -> int:
    """Make the slots' users, the agent's folders and its systemd unit, and start it.

    What is there already is left as it is. Each step is printed, and how to undo it.
    """
    loaded = load_for_agent(config, data)
    check_root(plan_only=plan)
    machine = Machine(root_prefix)
    steps = plan_agent_install(
        loaded.config, config_path=loaded.path, data=loaded.data, machine=machine, plan_only=plan
    )
    return install(steps, machine, plan_only=plan, json=json)
