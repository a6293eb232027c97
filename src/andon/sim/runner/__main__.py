"""Starts the listener: `python -m andon.sim.runner`, JIT config in ACTIONS_RUNNER_INPUT_JITCONFIG."""

import sys

from andon.sim.runner.listener import main

sys.exit(main())
