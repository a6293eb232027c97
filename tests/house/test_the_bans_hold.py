"""The checks that guard the house are themselves checked: each is shown a breach and must refuse it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize(
    "breach",
    [
        "import time\nnow = time.time()\n",
        "import random\n",
        "import os\nhome = os.environ['HOME']\n",
        "import os\nhome = os.getenv('HOME')\n",
        "from datetime import datetime\nnow = datetime.now()\n",
        "import uuid\nname = uuid.uuid4()\n",
        "import secrets\n",
        "import asyncio\n\n\nasync def wait() -> None:\n    await asyncio.sleep(1)\n",
    ],
)
@pytest.mark.parametrize("room", ["rules", "loops", "agent", "sim"])
def test_the_global_clock_chance_and_environment_are_banned_outside_runtime(breach: str, room: str) -> None:
    def lint(where: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--select", "TID251", "--stdin-filename", where]
        return subprocess.run([*command, "-"], input=breach, capture_output=True, text=True, cwd=ROOT, check=False)

    assert lint(f"src/andon/{room}/breach.py").returncode == 1
    assert lint("src/andon/runtime/breach.py").returncode == 0


@pytest.mark.parametrize(
    ("room", "breach"),
    [
        ("rules", "import andon.store.claims\n"),
        ("agent", "import andon.store.claims\n"),
        ("agent", "import sqlalchemy\n"),
        ("loops", "import andon.web.app\n"),
        ("model", "import asyncio\n"),
        ("store", "import andon.loops.dispatch\n"),
        ("web", "import httpx2\n"),
    ],
)
def test_a_breach_of_the_house_is_refused(tmp_path: Path, room: str, breach: str) -> None:
    copy = tmp_path / "src"
    subprocess.run(["cp", "-r", str(ROOT / "src"), str(copy)], check=True)
    (copy / "andon" / room / "breach.py").write_text(breach)
    (tmp_path / ".importlinter").write_text((ROOT / ".importlinter").read_text())
    lint = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    done = subprocess.run(
        [*lint, "--no-cache"], cwd=tmp_path, env={"PYTHONPATH": str(copy)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "BROKEN" in done.stdout
