"""The demo's runs, as bodies for the sandbox's `POST /_sandbox/runs` (interfaces.md section 9)."""

from typing import Any

from andon.sim.demo.repository import DemoRepository

LABELS = ("self-hosted", "linux", "x64")


def demo_runs(
    repository: DemoRepository, *, name: str = "acme/app", labels: tuple[str, ...] = LABELS
) -> tuple[dict[str, Any], ...]:
    """A push to main that passes, and a pull request whose test job finds the bug in its branch."""
    return (
        {
            "repository": name,
            "event": "push",
            "branch": repository.good_branch,
            "sha": repository.good_sha,
            "workflow": "ci",
            "jobs": _jobs(repository.url, repository.good_branch, labels),
        },
        {
            "repository": name,
            "event": "pull_request",
            "branch": repository.broken_branch,
            "sha": repository.broken_sha,
            "workflow": "ci",
            "jobs": _jobs(repository.url, repository.broken_branch, labels),
        },
    )


def _jobs(url: str, branch: str, labels: tuple[str, ...]) -> list[dict[str, Any]]:
    return [
        _job("build", url, branch, labels, needs=()),
        _job("lint", url, branch, labels, needs=()),
        _job("test", url, branch, labels, needs=("build",)),
    ]


def _job(target: str, url: str, branch: str, labels: tuple[str, ...], *, needs: tuple[str, ...]) -> dict[str, Any]:
    # A workspace is not emptied between jobs of one slot, so each job makes room for its own clone.
    clone = f"rm -rf app\ngit clone --depth 1 --branch {branch} {url} app"
    return {
        "name": target,
        "labels": list(labels),
        "needs": list(needs),
        "steps": [
            {"name": "Clone", "run": clone},
            {"name": f"make {target}", "run": f"make -C app {target}"},
        ],
    }
