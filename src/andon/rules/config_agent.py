"""What `[agent]` must satisfy for an agent to start."""

from collections.abc import Iterator

from andon.model.config import Agent, Config, Disk, Pool, Sccache, Server
from andon.rules.config_declared import check_declared
from andon.rules.config_finding import Finding, refused, warning
from andon.rules.listen_address import is_http_url, is_plain_http_elsewhere
from andon.rules.names import HOST_NAME
from andon.rules.sizes import parse_size

LEAST_CACHE = 100 * 2**20
"""Bytes that a compile cache has at the least."""


def check_agent_table(agent: Agent, pools: tuple[Pool, ...]) -> Iterator[Finding]:
    """`[agent]`. `pools` empty: an agent's own file, whose pools stand elsewhere."""
    if not HOST_NAME.fullmatch(agent.name):
        yield refused(
            f'name "{agent.name}" cannot be a host\'s. Use 1 to 63 letters, digits, ".", "_" and "-", '
            "beginning with a letter or digit.",
            "agent",
            "name",
        )
    if not is_http_url(agent.server):
        yield refused(
            f'server is "{agent.server}", which is no http or https address. '
            'Write the control plane\'s, as "http://127.0.0.1:8470".',
            "agent",
            "server",
        )
    elif is_plain_http_elsewhere(agent.server):
        yield warning(
            f'server is "{agent.server}": the host token and JIT configs would travel unencrypted. Use https.',
            "agent",
            "server",
        )
    if not agent.slots:
        yield warning("the agent has no [[agent.slots]]: it takes no jobs. Add some.", "agent")
    yield from _check_slots(agent, pools)
    yield from _check_disk(agent.disk)
    if agent.sccache is not None:
        yield from _check_sccache(agent.sccache)


def _check_slots(agent: Agent, pools: tuple[Pool, ...]) -> Iterator[Finding]:
    known = {pool.name for pool in pools}
    for number, slots in enumerate(agent.slots):
        at = ("agent", "slots", number)
        if known and slots.pool not in known:
            yield refused(
                f'slots name the pool "{slots.pool}", which is not configured. '
                f"Add that [[pool]], or use one of: {', '.join(sorted(known))}.",
                *at,
                "pool",
            )
        if slots.count < 1:
            yield refused(f"count is {slots.count}. Set it to 1 or more, or take these slots out.", *at, "count")
        if not slots.command or not slots.command[0].strip():
            yield refused(
                'command is empty. Name the runner\'s program, as ["/opt/actions-runner/run.sh"].', *at, "command"
            )


def _check_disk(disk: Disk) -> Iterator[Finding]:
    at = ("agent", "disk")
    for name, percent in (
        ("soft_percent", disk.soft_percent),
        ("hard_percent", disk.hard_percent),
        ("emergency_percent", disk.emergency_percent),
    ):
        if not 0 <= percent <= 100:
            yield refused(f"{name} is {percent:g}. Set it from 0 to 100.", *at, name)
    if not disk.emergency_percent < disk.hard_percent < disk.soft_percent:
        yield refused(
            f"of the free-space limits emergency ({disk.emergency_percent:g}), hard ({disk.hard_percent:g}) and soft "
            f"({disk.soft_percent:g}) each must be lower than the next. Order them so.",
            *at,
        )
    if parse_size(disk.admission_floor) is None:
        yield refused(
            f'admission_floor is "{disk.admission_floor}", which is no size. Write it as "5 GiB" or "500 MiB".',
            *at,
            "admission_floor",
        )
    yield from check_declared(disk)


def _check_sccache(sccache: Sccache) -> Iterator[Finding]:
    at = ("agent", "sccache")
    cap = parse_size(sccache.size)
    if cap is None:
        yield refused(f'size is "{sccache.size}", which is no size. Write it as "20 GiB".', *at, "size")
    elif cap < LEAST_CACHE:
        yield refused(
            f'size is "{sccache.size}". A compile cache below 100 MiB throws away what it has just kept; give it more, '
            "or take [agent.sccache] out.",
            *at,
            "size",
        )
    if not sccache.program.strip():
        yield refused('program is empty. Name sccache by its path, or as "sccache".', *at, "program")


def agent_only(config: Config) -> bool:
    """Whether the file is one of `andon agent run` alone: nothing in it but the
    enrolment secret's place is a control plane's."""
    enrolment = Server(agent_token_file=config.server.agent_token_file)
    return config.agent is not None and config == Config(agent=config.agent, server=enrolment)
