"""`andon install`: the control plane as a service of this machine, as its own user."""

import sys
from pathlib import Path

import andon
from andon.cli.configuration import load_for_control_plane
from andon.cli.installing import check_root, install
from andon.cli.options import ConfigFile, DataFolder, Json, PlanOnly, RootPrefix
from andon.setup.control_install import plan_control_install
from andon.setup.machine import Machine


def install_control_plane(
    *,
    config: ConfigFile = None,
    data: DataFolder = None,
    plan: PlanOnly = False,
    root_prefix: RootPrefix = None,
    json: Json = False,
) -> int:
    """Make the user "andon", give it the data folder and the secrets in it, and make and start the unit.

    What is there already is left as it is. Each step is printed, and how to undo it.
    """
    loaded = load_for_control_plane(config, data)
    check_root(plan_only=plan)
    machine = Machine(root_prefix)
    steps = plan_control_install(
        loaded.config,
        config_path=loaded.path,
        data=loaded.data,
        machine=machine,
        program=Path(sys.executable),
        package=Path(andon.__file__),
    )
    return install(steps, machine, plan_only=plan, json=json)
