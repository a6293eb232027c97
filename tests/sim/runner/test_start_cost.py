"""Many runners start on few cores, so what a start costs is kept small."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("program", ["listener", "worker"])
def test_a_start_loads_nothing_heavy(program: str) -> None:
    code = f"import sys, andon.sim.runner.{program}; print(' '.join(sys.modules))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    heavy = {"asyncio", "msgspec", "httpx2", "structlog", "rich", "dataclasses", "inspect"}
    if program == "worker":
        # Loaded later, beside the first step.
        heavy |= {"http.client", "ssl"}
    assert heavy & set(output.split()) == set()
