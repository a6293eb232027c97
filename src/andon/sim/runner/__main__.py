"""Starts the listener: `python -m andon.sim.runner`, JIT config in ACTIONS_RUNNER_INPUT_JITCONFIG.

`--with-act FILE` lets its job be one of that workflow file, run by `act` (docs/sandbox.md).
"""

import os
import sys

from andon.sim.runner.listener import main
from andon.sim.runner.message_pump import TERMINATED


def _main(arguments: list[str]) -> int:
    if not arguments:
        return main()
    # Here and not above: a listener without options starts without them.
    from andon.runtime.errors import Refused
    from andon.sim.runner.act_options import workflow_order

    try:
        workflow = workflow_order(arguments)
    except Refused as refused:
        os.write(2, f"{refused}\n".encode())
        return TERMINATED
    return main(workflow=workflow)


sys.exit(_main(sys.argv[1:]))
