"""The first day with an App: made on the local page, installed, looked at by the doctor."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.doctor.case import Case
from tests.support.app_walk import Walk, fetch
from tests.support.fleet import Stage

OWNER = "solo"


def found_ids(found: dict[str, Any]) -> set[str]:
    return {one["id"] for one in found["findings"]}


def test_an_app_is_made_installed_and_found_fine(
    fleet: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = Case(fleet, tmp_path, capsys, f"{OWNER}/app")
    fleet.ask_github("POST", "/_sandbox/repositories", {"repository": case.repository})
    (tmp_path / "webhook.secret").unlink()
    (tmp_path / "andon.toml").write_text(
        f'[server]\npublic_url = "{fleet.url}"\n[github]\napi_url = "{fleet.github}"\n'
    )

    def start(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "andon", *(str(one) for one in arguments)]
        return subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    walk = Walk(start, "--organisation", OWNER)
    status, page = walk.fetch(walk.make["action"], walk.make["fields"])
    assert status == 200, page
    code, out, err = walk.end()
    assert code == 0, err
    assert (tmp_path / "app.pem").read_text().startswith("-----BEGIN")
    assert (tmp_path / "webhook.secret").read_text().strip()
    (case.credential,) = ["\n".join(line for line in out.splitlines() if line.startswith(("app_id", "private_key")))]

    assert f'[[owner]]\nlogin = "{OWNER}"\nrunners = "organisation"\n' in out
    case.in_owner = 'runners = "organisation"'

    code, found = case.examine()
    assert code == 1
    assert "app.not_installed" in found_ids(found)

    install = next(word for word in out.split() if word.endswith("/installations/new"))
    assert fetch(install, {"account": OWNER})[0] == 200
    _, found = case.examine()
    # GitHub tells the App's webhook of the installation; this control plane has another App's secret.
    assert found_ids(found) <= {"delivery.signature"}
    states = {one["name"]: one["state"] for one in found["checks"]}
    assert (states["permissions"], states["webhook"], states["runner groups"]) == ("fine", "fine", "fine")

    grant = {"app": "andon-solo", "account": OWNER, "permissions": {"actions": "read"}}
    fleet.ask_github("POST", "/_sandbox/installations", grant)
    code, found = case.examine()
    assert code == 1
    missing = [one["what"] for one in found["findings"] if one["id"] == "permission.missing"]
    assert any("organization_self_hosted_runners:write" in what for what in missing)
    assert any("actions:write" in what for what in missing)
