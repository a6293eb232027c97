"""A registration as the REST API shows it, and as the truth does."""

from typing import Any

from andon.sim.sandbox.records import Runner
from andon.sim.sandbox.repository_json import fine_stamp

_DEFAULT_LABELS = frozenset({"self-hosted", "linux", "windows", "macos", "x64", "arm", "arm64"})


def runner_json(runner: Runner) -> dict[str, Any]:
    """The fields of GitHub's runner object; `busy` only while a job runs, not while one is offered."""
    return {
        "id": runner.id,
        "runner_group_id": runner.group_id,
        "name": runner.name,
        "os": runner.os,
        "status": "online" if runner.session is not None else "offline",
        "busy": runner.job is not None,
        "ephemeral": runner.ephemeral,
        "version": runner.version,
        "labels": labels_json(runner),
    }


def labels_json(runner: Runner) -> list[dict[str, Any]]:
    """A runner's labels."""
    return [
        {"id": number, "name": label, "type": "read-only" if is_default_label(label) else "custom"}
        for number, label in enumerate(runner.labels, start=1)
    ]


def is_default_label(label: str) -> bool:
    """Whether this is one of the labels that runners have by themselves and nobody may change."""
    return label.lower() in _DEFAULT_LABELS


def runner_truth(runner: Runner) -> dict[str, Any]:
    """Everything about the registration, also when it is gone; no token."""
    return {
        "id": runner.id,
        "name": runner.name,
        "scope": runner.scope,
        "labels": list(runner.labels),
        "ephemeral": runner.ephemeral,
        "status": "removed" if runner.removed_at else "online" if runner.session else "offline",
        "assigned": runner.assigned.id if runner.assigned else None,
        "job": runner.job.id if runner.job else None,
        "served": list(runner.served),
        "jobs_served": len(runner.served),
        "sessions_opened": runner.sessions_opened,
        "registered_at": fine_stamp(runner.registered_at),
        "removed_at": fine_stamp(runner.removed_at),
        "removed_reason": runner.removed_reason,
        "listens_on": runner.outlived_by is not None,
        "stuck_with": runner.stuck_with.id if runner.stuck_with else None,
    }
