"""What GitHub tells the world: `workflow_job`, `workflow_run` and `ping`, handed to the hooks.

A payload is frozen when it is made: a delivery that arrives late tells what was true then.
"""

from typing import Any

import msgspec

from andon.sim.sandbox.delivery_json import hook_json
from andon.sim.sandbox.delivery_records import Hook
from andon.sim.sandbox.hooks import Hooks
from andon.sim.sandbox.job_json import deployment_json, job_json
from andon.sim.sandbox.records import Job, Repository, Run, Stage
from andon.sim.sandbox.repository_json import announced_repository_json, user_json
from andon.sim.sandbox.run_json import run_json
from andon.sim.sandbox.world import World


class Announcements:
    """Makes the payloads."""

    def __init__(self, world: World, hooks: Hooks) -> None:
        self._world = world
        self._hooks = hooks

    def job(self, job: Job, action: str, *, as_stage: Stage | None = None, with_deployment: bool = True) -> None:
        """Tells of a job. `as_stage` shows another status than the job's own."""
        shown = job_json(job, self._world.base_url)
        if as_stage is not None:
            shown["status"] = as_stage.value
        payload = {"action": action, "workflow_job": msgspec.Raw(msgspec.json.encode(shown))}
        if with_deployment and (deployment := deployment_json(job, self._world.base_url)):
            payload["deployment"] = msgspec.Raw(msgspec.json.encode(deployment))
        repository = job.run.repository
        self._hooks.announce(
            repository,
            "workflow_job",
            action,
            self._with_surroundings(payload, repository, job.run),
            job=(job.id, job.name),
        )

    def run(self, run: Run, action: str) -> None:
        """Tells of a run."""
        shown = run_json(run, self._world.base_url)
        workflow = {
            "id": run.workflow_id,
            "node_id": f"W_sandbox{run.workflow_id}",
            "name": run.workflow,
            "path": shown["path"],
            "state": "active",
            "created_at": "2026-01-01T00:00:00Z",
            "updated_at": "2026-01-01T00:00:00Z",
            "url": shown["workflow_url"],
            "html_url": shown["html_url"],
            "badge_url": shown["html_url"],
        }
        payload = {
            "action": action,
            "workflow_run": msgspec.Raw(msgspec.json.encode(shown)),
            "workflow": workflow,
        }
        self._hooks.announce(
            run.repository, "workflow_run", action, self._with_surroundings(payload, run.repository, run)
        )

    def repository(self, repository: Repository, action: str) -> None:
        """Tells of a change of a repository itself: publicized or privatized."""
        shown = announced_repository_json(repository, self._world.base_url)
        sender = user_json("octocat", 583231, self._world.base_url)
        self._hooks.announce(
            repository, "repository", action, {"action": action, "repository": shown, "sender": sender}
        )

    def ping(self, hook: Hook, repository: Repository | None) -> None:
        """Greets a new hook."""
        payload: dict[str, Any] = {
            "zen": "Stop the line when something is wrong.",
            "hook_id": hook.id,
            "hook": hook_json(hook, self._world.base_url),
            "sender": user_json("octocat", 583231, self._world.base_url),
        }
        if repository is not None:
            payload["repository"] = announced_repository_json(repository, self._world.base_url)
        self._hooks.deliver(hook, "ping", None, payload, repository=repository)

    def _with_surroundings(self, payload: dict[str, Any], repository: Repository, run: Run) -> dict[str, Any]:
        base_url = self._world.base_url
        url = f"{base_url}/orgs/{repository.owner}"
        payload["repository"] = announced_repository_json(repository, base_url)
        payload["organization"] = {
            "login": repository.owner,
            "id": repository.owner_id,
            "node_id": f"O_sandbox{repository.owner_id}",
            "url": url,
            "repos_url": f"{url}/repos",
            "events_url": f"{url}/events",
            "hooks_url": f"{url}/hooks",
            "issues_url": f"{url}/issues",
            "members_url": f"{url}/members{{/member}}",
            "public_members_url": f"{url}/public_members{{/member}}",
            "avatar_url": f"{base_url}/avatars/{repository.owner_id}",
            "description": None,
        }
        payload["sender"] = user_json(run.latest.actor, 583231, base_url)
        return payload
