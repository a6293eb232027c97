"""Act "retire_runner": removes a registration that no process of ours can use (N3).

By name, and only names with our fleet id are ever ordered; a busy one is left alone (422).
"""

from andon.github.outcomes import Failed, FailureClass
from andon.loops.acts.next_try import next_try
from andon.loops.fleet import Fleet
from andon.store import outbox
from andon.store.outbox import Act


async def retire_runner(fleet: Fleet, act: Act) -> None:
    """Performs the act once."""
    scope = fleet.scope(act.payload["owner"], act.payload["repository"])
    found = await fleet.github.find_runner(scope, act.payload["name"])
    failure: Failed | None = None
    result = "not registered"
    if isinstance(found, Failed):
        failure = found
    elif found is not None:
        failure = await fleet.github.delete_runner(scope, found.id)
        result = "removed"
        if failure is not None and failure.kind is FailureClass.INVALID:
            failure, result = None, "left alone: GitHub says that it is busy"
        elif failure is not None and failure.kind is FailureClass.GONE:
            failure, result = None, "gone already"
    if failure is None:
        await fleet.write(lambda tx: outbox.finish(tx, act, result=result))
        fleet.log.info("runner.retired", runner=act.payload["name"], result=result)
    else:
        until = next_try(failure, act.attempts, fleet.clock.now())
        message = failure.message
        await fleet.write(lambda tx: outbox.postpone(tx, act, until=until, reason=message))
