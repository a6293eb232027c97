"""One case of the doctor's tests: a repository with its webhook, and the file that the doctor reads."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from andon.cli.doctor import examine
from andon.runtime.clock import SystemClock
from tests.support.fleet import LABELS, SECRET, Stage, wait_for

EVENTS = ("workflow_job", "workflow_run")


class Shifted(SystemClock):
    """The machine's clock, some seconds off."""

    def __init__(self, seconds: float = 0.0) -> None:
        self._off = timedelta(seconds=seconds)

    def now(self) -> datetime:
        return super().now() + self._off


class Case:
    """One repository with its webhook, and the file that the doctor reads."""

    def __init__(self, fleet: Stage, folder: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
        self.fleet, self.folder, self.capsys = fleet, folder, capsys
        self.repository = name if "/" in name else f"acme/{name}"
        self.hook: dict[str, Any] = {
            "address": f"{fleet.url}/webhooks/github",
            "content_type": "json",
            "secret": SECRET,
            "events": EVENTS,
            "active": True,
        }
        self.named = self.repository
        self.github = fleet.github
        self.credential = 'token_file = "github.token"'
        self.server = fleet.url
        self.off_s = 0.0
        self.more = ""
        self.in_owner = ""
        self.in_pool = ""
        self.in_server = ""
        self.clean_up: list[Callable[[], object]] = []
        for secret, content in (("github.token", "a-token"), ("webhook.secret", SECRET)):
            self.secret(secret, content)

    def secret(self, name: str, content: str, mode: int = 0o600) -> None:
        (self.folder / name).write_text(content)
        (self.folder / name).chmod(mode)

    def make_hook(self) -> int:
        """Makes the repository's webhook, whose ping is answered before this returns."""
        wanted = self.hook
        config = {"url": wanted["address"], "content_type": wanted["content_type"], "secret": wanted["secret"]}
        body = {"name": "web", "active": wanted["active"], "events": wanted["events"], "config": config}
        hook = int(self.fleet.ask_github("POST", f"/repos/{self.repository}/hooks", body)["id"])
        if wanted["active"]:
            wait_for("the ping is over", lambda: self.deliveries(hook))
        return hook

    def deliveries(self, hook: int) -> list[Any]:
        return list(self.fleet.ask_github("GET", f"/repos/{self.repository}/hooks/{hook}/deliveries"))

    def examine(self) -> tuple[int, dict[str, Any]]:
        """The doctor's exit code and its words."""
        config = self.folder / "andon.toml"
        config.write_text(
            f"""
[server]
public_url = "{self.fleet.url}"
{self.in_server}
[github]
api_url = "{self.github}"
{self.credential}
[[owner]]
login = "{self.repository.partition("/")[0]}"
repositories = ["{self.named}"]
{self.in_owner}
[[pool]]
name = "linux"
labels = {json.dumps(LABELS)}
{self.in_pool}
{self.more}
"""
        )
        self.capsys.readouterr()
        code = examine(
            config=config, data=None, server=self.server, token_file=None, json=True, clock=Shifted(self.off_s)
        )
        said = self.capsys.readouterr()
        assert said.err == ""
        return code, json.loads(said.out)
