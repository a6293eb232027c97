"""Puts one host agent together and runs it until it is told to stop.

Ready means: its slots are recovered and its socket listens. The control plane may be away then and
later; runners go on, and the agent goes on asking.
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from andon import __version__
from andon.agent.adoption.records import Records
from andon.agent.adoption.supervision import AdoptedRunners
from andon.agent.caches.for_hooks import CachesForHooks
from andon.agent.cgroups import cgroup_base
from andon.agent.control_plane import ControlPlane
from andon.agent.credentials import find_credential
from andon.agent.disk.guard import Acts, Guard
from andon.agent.disk.host_guard import guard_of
from andon.agent.disk.uses import uses_of
from andon.agent.gate import HostGate
from andon.agent.hooks.caller import RunnerProcess
from andon.agent.hooks.door import HookDoor
from andon.agent.host_probes import probes_of
from andon.agent.host_slots import HostSlots
from andon.agent.installed_programs import install_programs
from andon.agent.interpreter import find_interpreter
from andon.agent.launch import Launcher
from andon.agent.layout import Root, root_of
from andon.agent.leases.place import refuse_network_filesystem
from andon.agent.process_identity import boot_id
from andon.agent.root_lock import lock_root
from andon.agent.slot_table import slots_of
from andon.agent.sockets import NudgeDoor, QuestionDoor, ask_agent
from andon.agent.start_probe import LIMIT_S, clear_left
from andon.agent.start_probes import StartProbes
from andon.agent.supervisor import Supervisor
from andon.agent.timing import Timing
from andon.agent.workspaces.assembly import workspaces_of
from andon.agent.workspaces.for_hooks import WorkspacesForHooks
from andon.model.config import Agent, Config
from andon.model.wire import SlotState
from andon.runtime.clock import Clock
from andon.runtime.errors import Refused
from andon.runtime.ids import system_random
from andon.runtime.logging import logger
from andon.runtime.loop import wait_for_nudge


async def run_agent(
    config: Config,
    *,
    config_path: Path,
    data: Path,
    clock: Clock,
    environ: Mapping[str, str],
    announce: Callable[[dict[str, Any]], None],
    stop: asyncio.Event,
    timing: Timing | None = None,
) -> None:
    """Runs the agent of `config` until `stop` is set; runners and shims go on after that.

    `announce` gets `{"ready": true, "host": ..., "pid": ...}` once. Raises Refused for a
    configuration that cannot be used, a root on which another agent lives, a missing credential,
    and, while no runner of ours lives, an enrolment or a host token that the control plane refuses.
    """
    if config.agent is None:
        raise Refused(f"{config_path}: no [agent] table. Add one with `name` and [[agent.slots]].")
    agent, timing, log = config.agent, timing or Timing(), logger("agent")
    root = root_of(agent, data)
    root.make()
    refuse_network_filesystem(root.path)
    with await lock_root(root, clock):
        credential = find_credential(config, root=root, config_path=config_path, data=data)
        slots = slots_of(agent, data=data, environ=environ)
        interpreter = find_interpreter(for_other_users=any(slot.user for slot in slots))
        launcher = Launcher(
            host=agent.name,
            root=root,
            programs=install_programs(root, interpreter),
            boot_id=boot_id(),
            cgroup_base=cgroup_base(root),
            environ=environ,
        )
        if launcher.cgroup_base is None:
            log.warning("cgroup.absent", reason="no cgroup version 2 here; process groups have to do")
        supervisor = Supervisor(launcher, slots, clock=clock, timing=timing, log=log)
        adopted = AdoptedRunners(
            Records(root),
            boot_id=launcher.boot_id,
            cgroup_base=launcher.cgroup_base,
            environ=environ,
            changed=supervisor.changed,
            jit=supervisor.also_serve,
            chance=system_random().random,
            clock=clock,
            timing=timing,
            log=log,
        )
        async with workspaces_of(
            agent,
            root,
            slots,
            adopted=adopted.as_slots(),
            adopted_slots=adopted.adopted,
            live_claims=supervisor.live_claims,
            hooks_of_runners=adopted.chained_hooks,
            boot_id=launcher.boot_id,
            environ=environ,
            changed=supervisor.changed,
            clock=clock,
            log=log,
        ) as work:
            supervisor.keep_folders(work.keeper.is_below)
            supervisor.write_down(work.removals.of_claim)
            adopted.tell_slots(work.serve)
            supervisor.look()
            adopted.look()
            host = HostSlots(supervisor, adopted)

            def busy() -> bool:
                # Hooks tell of a job before its runner's output does, and of one whose words we do not know.
                return work.keeper.written_to or any(slot.state is SlotState.RUNNING for slot in host.slots())

            work.declared.wait_while(busy)
            guard = guard_of(
                root,
                lambda: uses_of(
                    root,
                    (slot.number for slot in supervisor.served()),
                    adopted.adopted(),
                    in_root=lambda slot: work.workspace_of(slot).place == "root",
                    declared=work.declared.places(),
                ),
                Acts(make_room=work.keeper.loop.nudge, empty_trash=work.emptier.hurry),
                marks=agent.disk,
                mode=lambda: work.policy.now.guard,
                share_of=work.account.share,
                busy=busy,
                changed=supervisor.changed,
                environ=environ,
                clock=clock,
                log=log,
            )
            clear_left(root)
            probes = probes_of(launcher, supervisor, adopted, no_room=guard.no_room, clock=clock, log=log)
            supervisor.start_through(HostGate(guard.why_closed, guard.no_room, probes))
            adopted.close_slots(lambda slot: guard.why_closed(slot) or probes.why_not_ready(slot))
            server = ControlPlane(
                agent,
                credential,
                root,
                data,
                host,
                work.policy,
                leases=work.keeper,
                deletions=work.journal,
                disks=guard.reports,
                look_again=guard.tell_exactly,
                clock=clock,
                timing=timing,
                log=log,
            )
            hooks = HookDoor(
                WorkspacesForHooks(work.keeper, work.leftovers, agent.name, work.workspace_of),
                lambda: _runners(supervisor, adopted),
                host=agent.name,
                public_url=lambda: work.policy.now.public_url,
                caches=CachesForHooks(work.caches, work.workspace_of),
                log=log,
            )
            questions = QuestionDoor(
                lambda: _status(agent, host, adopted, server, guard), hooks.answer, work.questions.answer
            )
            nudges = NudgeDoor(root.shim_socket, supervisor.loop.nudge)
            try:
                await questions.open(root.socket)
                log.info("agent.ready", host=agent.name, root=str(root.path), slots=len(slots))
                announce({"ready": True, "host": agent.name, "pid": os.getpid()})
                await _until_stopped(
                    stop,
                    supervisor.loop.run(),
                    adopted.loop.run(),
                    _serve_ready(server, guard, probes, clock),
                    work.keeper.loop.run(),
                    work.emptier.loop.run(),
                    work.sizes.loop.run(),
                    work.account.loop.run(),
                    work.foreign.loop.run(),
                    work.budgets.loop.run(),
                    work.caches.loop.run(),
                    work.declared.loop.run(),
                    guard.loop.run(),
                    probes.loop.run(),
                )
                log.info("agent.stopped", host=agent.name)
            finally:
                guard.close()
                nudges.close()
                await questions.close()
                await adopted.close()
                await supervisor.close()


async def _until_stopped(stop: asyncio.Event, *work: Any) -> None:
    """Runs `work` until `stop`; what one of them raises ends the others and is raised here."""
    running = {asyncio.ensure_future(one) for one in work}
    stopping = asyncio.ensure_future(stop.wait())
    try:
        done, _ = await asyncio.wait({stopping, *running}, return_when=asyncio.FIRST_COMPLETED)
        for one in done:
            one.result()
    finally:
        for one in (stopping, *running):
            one.cancel()
        await asyncio.gather(stopping, *running, return_exceptions=True)


async def _serve_ready(server: ControlPlane, guard: Guard, probes: StartProbes, clock: Clock) -> None:
    """Talks to the control plane once the slots are known: what is told first is what may be claimed at once."""
    await guard.loop.passes.wait_beyond(0)
    await wait_for_nudge(probes.loop.passes, 0, clock, LIMIT_S)
    await server.run()


def _runners(supervisor: Supervisor, adopted: AdoptedRunners) -> tuple[RunnerProcess, ...]:
    """Every runner whose hooks may ask: those of claims, and the adopted ones."""
    places = (
        RunnerProcess(pid=process.pid, start=process.start, slot=slot.slot, claim=None, runner=slot.runner)
        for slot, process in adopted.runners()
    )
    return (*supervisor.runners(), *places)


def _status(
    agent: Agent, host: HostSlots, adopted: AdoptedRunners, server: ControlPlane, guard: Guard
) -> dict[str, Any]:
    sync = server.sync
    return {
        "host": agent.name,
        "pid": os.getpid(),
        "version": __version__,
        "server": agent.server,
        "slots": msgspec.to_builtins(host.slots()),
        "adopted": msgspec.to_builtins(adopted.status()),
        "disk": msgspec.to_builtins(guard.reports()),
        "unacknowledged_ends": len(host.ended()),
        "last_sync": msgspec.to_builtins(sync.last_answer_at) if sync else None,
        "trouble": sync.trouble if sync else "not enrolled yet",
    }


def agent_status(root: Path) -> dict[str, Any]:
    """What the agent that lives on `root` says of itself. Raises Refused when none answers."""
    answer = ask_agent(Root(path=root).socket, {"v": 1, "status": True})
    return dict(answer["status"])
