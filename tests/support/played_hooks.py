"""Webhooks of the sandbox in a played world: what is sent, what of it arrives, what is asked for again."""

from typing import Any

from andon.sim.sandbox.delivery_records import Hook
from andon.store import deliveries, fleet_views

BASE = "http://andon.test"
ADDRESS = f"{BASE}/webhooks/github"
ATTEMPTS = "POST /repos/{owner}/{repo}/hooks/{hook_id}/deliveries/{delivery_id}/attempts"


class PlayedHook:
    """One webhook that sends to us, and the way from GitHub to our store."""

    def __init__(self, world: Any, scope: str = "acme/app", *, url: str = ADDRESS, secret: str = "s") -> None:
        self.world = world
        sandbox = world.github
        target = sandbox.world.make_repository(scope).id if "/" in scope else sandbox.world.owner_id(scope)
        self.hook: Hook = sandbox.hooks.create(
            scope,
            target_id=target,
            url=url,
            content_type="json",
            secret=secret,
            events=("workflow_job", "workflow_run"),
            active=True,
        )

    def send(self, number: int = 1) -> list[str]:
        """Makes so many deliveries; gives their GUIDs."""
        hooks = self.world.github.hooks
        for _ in range(number):
            hooks.deliver(self.hook, "ping", None, {"zen": "Keep it logically awesome."}, repository=None)
        return [each.guid for each in self.hook.deliveries[-number:]]

    def lose(self, number: int = 1) -> list[str]:
        """The same, and none of them arrives."""
        self.world.fault(kind="delivery_lost", count=number)
        return self.send(number)

    async def arrive(self, *, code: int = 202, keeps: bool = True) -> list[str]:
        """What is under way arrives and is answered so; gives the GUIDs. Not `keeps`: nothing is stored."""
        hooks = self.world.github.hooks
        self.world.github.tick()
        came = [(each.send, each.headers, each.body) for each in hooks.take()]
        for send, headers, body in came:
            if keeps:
                await self.world.store.write(lambda tx, h=headers, b=body: _keep(tx, h, b))
            hooks.report(send, code, "said", 0.1)
        return [headers["X-GitHub-Delivery"] for _, headers, _ in came]

    def tries(self, guid: str) -> int:
        """How often GitHub sent it."""
        (found,) = [each for each in self.hook.deliveries if each.guid == guid]
        return len(found.sends)

    def sent_again(self) -> list[str]:
        """GUIDs of what was asked for, once for each request."""
        return [each.guid for each in self.hook.deliveries for send in each.sends if send.redelivery]


def _keep(tx: Any, headers: dict[str, str], body: bytes) -> bool:
    event, guid = headers["X-GitHub-Event"], headers["X-GitHub-Delivery"]
    return deliveries.keep(tx, guid=guid, event=event, action=None, body=body)


async def states(world: Any) -> dict[str, str]:
    """Our state of each delivery."""
    views = await world.store.read(lambda connection: fleet_views.delivery_views(connection, 500))
    return {view.guid: view.state for _, view in views}
