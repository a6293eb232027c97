"""A control plane that is a GitHub App: real processes, and no token in any file or log."""

from pathlib import Path

from tests.support.fleet import Program, call, wait_for

CONFIG = """
[server]
listen = "127.0.0.1:0"
[github]
api_url = "{github}"
app_id = {app}
private_key_file = "app.pem"
ingest = "poll"
poll_seconds = 0.5
[[owner]]
login = "acme"
[[pool]]
name = "linux"
labels = ["self-hosted"]
"""


def test_an_app_finds_its_repositories_and_their_jobs(tmp_path: Path) -> None:
    sandbox = Program("sandbox", ["sandbox", "serve", "--listen", "127.0.0.1:0"], tmp_path)
    github = str(sandbox.start()["url"])
    try:
        permissions = {"actions": "write", "administration": "write", "metadata": "read"}
        call("POST", f"{github}/_sandbox/repositories", {"repository": "acme/app"})
        made = call("POST", f"{github}/_sandbox/apps", {"name": "andon", "owner": "acme", "permissions": permissions})
        call("POST", f"{github}/_sandbox/installations", {"app": made["id"], "account": "acme"})
        (tmp_path / "app.pem").write_text(made["pem"])
        (tmp_path / "webhook.secret").write_text("unused")
        (tmp_path / "andon.toml").write_text(CONFIG.format(github=github, app=made["id"]))
        control = Program("control", ["up"], tmp_path)
        board = str(control.start()["url"])
        try:
            run = {"repository": "acme/app", "jobs": [{"name": "a", "labels": ["self-hosted"]}]}
            (job,) = call("POST", f"{github}/_sandbox/runs", run)["jobs"]
            found = wait_for("the job is seen", lambda: call("GET", f"{board}/api/v1/jobs")["items"], seconds=20)
            assert [each["id"] for each in found] == [job]
        finally:
            control.end()
        log = (tmp_path / "control.log").read_text()
        assert "ghs_" not in log and "eyJ" not in log and "PRIVATE KEY" not in log
    finally:
        sandbox.end()
