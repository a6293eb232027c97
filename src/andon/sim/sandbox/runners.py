"""Registrations of runners and the sessions of their listeners.

A JIT registration serves one job and is gone; its token then opens nothing any more
(github-contract.md section 3).
"""

from collections.abc import Iterable
from datetime import timedelta

from andon.runtime.loop import Nudge
from andon.sim.sandbox.binding import Binder
from andon.sim.sandbox.fault_kinds import FaultKind, Moment
from andon.sim.sandbox.faults import Faults
from andon.sim.sandbox.records import Runner, Session
from andon.sim.sandbox.refusals import ApiError, not_found
from andon.sim.sandbox.repository_json import fine_stamp
from andon.sim.sandbox.world import World


class Runners:
    """All registrations."""

    def __init__(self, world: World, binder: Binder, faults: Faults) -> None:
        self._world = world
        self._faults = faults
        self._binder = binder

    def register(
        self,
        scope: str,
        *,
        name: str,
        labels: tuple[str, ...],
        group_id: int = 1,
        work_folder: str = "_work",
        ephemeral: bool = True,
    ) -> Runner:
        """Makes a registration at `owner/name` or `owner`.

        Raises ApiError 404 for an unknown place or group, 409 for a name that is taken, 422 for bad
        values.
        """
        world = self._world
        scope = self.known_scope(scope)
        if not name or len(name) > 64 or not 1 <= len(labels) <= 100 or not all(labels):
            raise ApiError(422, "Validation Failed: give a name of 1 to 64 characters and 1 to 100 labels.")
        group = world.runner_groups.get(group_id)
        if group is None:
            raise not_found()
        if group.owner not in (None, scope.partition("/")[0]):
            raise ApiError(403, f"You do not have access to the runner group {group_id}.")
        key = (scope, name.lower())
        if key in world.runner_by_name:
            self._note(scope, name, "refused: the name exists")
            raise ApiError(409, "Already exists - A runner with the name already exists.")
        runner = Runner(
            id=world.new_id("runner"),
            scope=scope,
            name=name,
            labels=labels,
            offers=frozenset(label.lower() for label in labels),
            group_id=group_id,
            group_name=group.name,
            work_folder=work_folder,
            ephemeral=ephemeral,
            token=world.new_token(),
            registered_at=world.now(),
        )
        world.runners[runner.id] = runner
        world.runners_at[scope][runner.id] = runner
        world.runner_by_name[key] = runner
        world.runner_by_token[runner.token] = runner
        self._note(scope, name, "registered")
        if late := self._faults.for_runner(Moment.RUNNER_MADE, runner).get(FaultKind.RUNNER_LISTED_LATE):
            runner.listed_at = world.after(self._faults.seconds(late) or 0.0)
        self._watch_absence(runner)
        if ephemeral and world.timings.jit_connect_s is not None:
            world.timers.at(world.after(world.timings.jit_connect_s), lambda: self._lapse(runner))
        return runner

    def _note(self, scope: str, name: str, outcome: str) -> None:
        self._world.registrations.append(
            {"at": fine_stamp(self._world.now()), "scope": scope, "name": name, "outcome": outcome}
        )

    def known_scope(self, scope: str) -> str:
        """The key of a repository or an owner; raises ApiError 404 when there is none."""
        key = scope.lower()
        if key not in (self._world.repositories if "/" in key else self._world.owners):
            raise not_found()
        return key

    def list(self, scope: str, *, name: str | None = None) -> "list[Runner]":
        """The registrations there, oldest first; with `name` only that one. Raises ApiError 404."""
        scope = self.known_scope(scope)
        if name is not None:
            named = self._world.runner_by_name.get((scope, name.lower()))
            found = [named] if named else []
        else:
            found = [*self._world.runners_at[scope].values()]
        now = self._world.now()
        return [runner for runner in found if runner.listed_at is None or runner.listed_at <= now]

    def get(self, scope: str, runner_id: int) -> Runner:
        """One registration; raises ApiError 404."""
        found = self._world.runners_at[self.known_scope(scope)].get(runner_id)
        if found is None:
            raise not_found()
        return found

    def delete(self, scope: str, runner_id: int) -> None:
        """Removes a registration; raises ApiError 422 while it runs a job.

        A job that it was offered and has not taken is queued again.
        """
        runner = self.get(scope, runner_id)
        if runner.job is not None:
            raise ApiError(422, f"Bad request - Runner {runner.name!r} is still running a job")
        self.deregister(runner, "deleted through the API")

    def set_labels(self, runner: Runner, labels: Iterable[str]) -> None:
        """Gives a runner other labels; each counts once, whatever its case."""
        by_key: dict[str, str] = {}
        for label in labels:
            by_key.setdefault(label.lower(), label)
        self._binder.forget(runner)
        runner.labels = tuple(by_key.values())
        runner.offers = frozenset(by_key)
        self._binder.runner_changed(runner)

    def deregister(self, runner: Runner, reason: str) -> None:
        """Takes the registration away, whatever the runner does."""
        if runner.removed_at is not None:
            return
        world = self._world
        runner.removed_at = world.now()
        runner.removed_reason = reason
        world.runners_at[runner.scope].pop(runner.id, None)
        world.runner_by_name.pop((runner.scope, runner.name.lower()), None)
        self._drop_session(runner, reason)

    def authenticate(self, token: str) -> Runner:
        """The runner of this token, also when its registration is gone; raises ApiError 401."""
        found = self._world.runner_by_token.get(token)
        if found is None:
            raise ApiError(401, "The runner registration has been deleted from the server.")
        return found

    def open_session(self, runner: Runner, *, version: str | None, os: str | None) -> Session:
        """The listener connects: the runner is online, and may be offered a job at once.

        Raises ApiError 401 when the registration is gone, 409 when a session is open already.
        """
        _check_registered(runner)
        if runner.session is not None:
            raise ApiError(409, "A session for this runner already exists.")
        befalls = self._faults.for_runner(Moment.RUNNER_CONNECTED, runner)
        if FaultKind.RUNNER_DEPRECATED in befalls:
            raise ApiError(403, f"Runner version v{version} is deprecated and cannot receive messages.")
        world = self._world
        session = Session(id=world.new_token(128), runner=runner, last_seen=world.now(), nudge=Nudge())
        world.sessions[session.id] = session
        runner.session = session
        runner.seen_at = world.now()
        runner.sessions_opened += 1
        if not runner.ephemeral:
            # A lasting runner that was started again has forgotten the job that it hung on.
            runner.stuck_with = None
        runner.version = version or runner.version
        runner.os = os or runner.os
        self._watch(session)
        if (vanishes := befalls.get(FaultKind.RUNNER_VANISHES)) and runner.ephemeral:
            due = world.after(self._faults.seconds(vanishes) or 0.0)
            world.timers.at(due, lambda: self._vanish(session))
            world.changed()
        self._binder.runner_changed(runner)
        return session

    def _vanish(self, session: Session) -> None:
        """An idle runner is gone from GitHub for no reason, and its listener ends as if all were well."""
        runner = session.runner
        if runner.session is session and (runner.assigned or runner.job or runner.stuck_with) is None:
            runner.told_to_exit = True
            self.outlive(runner, "vanished while idle")

    def outlive(self, runner: Runner, reason: str) -> None:
        """Takes the registration away while the listener goes on and is not told."""
        runner.outlived_by = runner.session
        self.deregister(runner, reason)

    def get_session(self, runner: Runner, session_id: str) -> Session:
        """The runner's open session; raises ApiError 401 or 404."""
        if runner.outlived_by is not None and runner.outlived_by.id == session_id:
            return runner.outlived_by
        _check_registered(runner)
        if runner.session is None or runner.session.id != session_id:
            raise ApiError(404, "There is no such session of this runner.")
        return runner.session

    def close_session(self, runner: Runner, session_id: str) -> None:
        """The listener leaves. A job that runs stays its own until the lock ends."""
        if runner.outlived_by is not None:
            runner.outlived_by = None
        elif runner.removed_at is None:
            self.get_session(runner, session_id)
            self._drop_session(runner, "the listener left")

    def begin_poll(self, session: Session) -> int:
        """The listener asks for a message: it listens (again). Says the turn of this poll."""
        session.polls_held += 1
        session.poll_turn += 1
        session.nudge()
        if not session.listening:
            session.listening = True
            self._binder.runner_changed(session.runner)
        return session.poll_turn

    def end_poll(self, session: Session) -> None:
        """A poll was answered or given up."""
        session.polls_held -= 1
        session.last_seen = session.runner.seen_at = self._world.now()
        self._watch(session)

    def _watch(self, session: Session) -> None:
        """Sees to it that a listener that went silent becomes offline."""
        if not session.watched:
            session.watched = True
            due = session.last_seen + timedelta(seconds=self._world.timings.offline_s)
            self._world.timers.at(due, lambda: self._look_after(session))

    def _look_after(self, session: Session) -> None:
        session.watched = False
        runner = session.runner
        if runner.session is not session or session.polls_held > 0:
            return
        silent = self._world.now() - session.last_seen
        if silent >= timedelta(seconds=self._world.timings.offline_s):
            self._drop_session(runner, "the listener went silent")
        else:
            self._watch(session)

    def _drop_session(self, runner: Runner, reason: str) -> None:
        session, runner.session = runner.session, None
        if session is not None:
            self._world.sessions.pop(session.id, None)
            runner.seen_at = self._world.now()
            session.nudge()
            self._watch_absence(runner)
        self._binder.runner_gone(runner, reason)

    def _watch_absence(self, runner: Runner) -> None:
        if runner.ephemeral and runner.removed_at is None:
            self._world.timers.at(
                self._world.after(self._world.timings.ephemeral_idle_s), lambda: self._remove_absent(runner)
            )

    def _remove_absent(self, runner: Runner) -> None:
        limit = timedelta(seconds=self._world.timings.ephemeral_idle_s)
        seen = runner.seen_at or runner.registered_at
        if runner.session is None and runner.job is None and self._world.now() - seen >= limit:
            self.deregister(runner, "not connected for too long")

    def _lapse(self, runner: Runner) -> None:
        if runner.seen_at is None:
            self.deregister(runner, "the JIT config was not used in time")


def _check_registered(runner: Runner) -> None:
    if runner.removed_at is not None:
        raise ApiError(401, "The runner registration has been deleted from the server.")
