"""Real programs, no webhook and no secret of one: a first start in observe mode changes nothing and says
what it would do; the next start, acting, does it (R97, R98)."""

import json
from pathlib import Path
from typing import Any

from tests.support.contract_watch import check_recorded
from tests.support.fleet import LABELS, Stage, wait_for


class PolledStage(Stage):
    """A fleet that polls: GitHub knows no address of it."""

    mode = "observe"

    def start(self) -> None:
        self.sandbox.start()
        (self.folder / "github.token").write_text("a-token")
        self.start_control()
        for name in self.hosts:
            self.start_agent(name)
        wait_for("the host reports", lambda: [host["observed"] for host in self.hosts_seen()] == ["reporting"])

    def start_control(self, number: int = 0) -> None:
        (self.folder / f"andon-{number}.toml").write_text(
            f"""
[server]
listen = "{self._listen[number]}"
[github]
api_url = "{self.github}"
token_file = "github.token"
ingest = "poll"
poll_seconds = 0.5
[rails]
mode = "{self.mode}"
[[owner]]
login = "acme"
repositories = ["acme/app"]
[[pool]]
name = "linux"
labels = {json.dumps(LABELS)}
trust = "any"
"""
        )
        self.control.start()
        self._listen[number] = self.url.removeprefix("http://")

    def hosts_seen(self) -> list[dict[str, Any]]:
        return list(self.ask("/api/v1/hosts")["items"])

    def would(self) -> list[str]:
        lines = self.ask("/api/v1/journal?limit=500")["items"]
        return [line["kind"] for line in lines if line["mode"] == "observe" and "would" in line["kind"]]


def test_observe_first_then_act_without_any_webhook(tmp_path: Path) -> None:
    stage = PolledStage(tmp_path, hosts=1, slots=2)
    try:
        stage.start()
        specs = [
            {"name": "build", "labels": LABELS, "steps": [{"run": "true"}]},
            {"name": "test", "labels": LABELS, "needs": ["build"], "steps": [{"run": "true"}]},
        ]
        job_ids = stage.run(specs)
        wait_for("it says what it would do", stage.would)
        waiting = stage.ask(f"/api/v1/jobs/{job_ids[0]}")
        assert (waiting["status"], waiting["claim"], waiting["why"]["cause"]) == ("queued", None, "degraded")
        assert stage.truth()["registrations"] == []
        stage.control.end()
        stage.mode = "act"
        stage.start_control()
        wait_for("both jobs are done", lambda: not stage.unfinished(job_ids))
        jobs = [stage.ask(f"/api/v1/jobs/{job_id}") for job_id in job_ids]
        assert [job["conclusion"] for job in jobs] == ["success", "success"]
        assert stage.would() == ["claim.would_reserve"]
        modes = [
            (line["from"], line["to"])
            for line in stage.ask("/api/v1/journal?limit=500")["items"]
            if line["kind"] == "rails.mode_changed"
        ]
        assert modes == [("observe", "act"), (None, "observe")]
        assert stage.ask("/api/v1/deliveries")["items"] == []
    finally:
        stage.end()
    check_recorded(stage.recorded)
