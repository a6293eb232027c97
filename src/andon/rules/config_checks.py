"""What the values of a configuration must satisfy together; their kinds are checked at loading.

Pure: files that are named are looked at by `cli.configuration`.
"""

from andon.model.config import Config
from andon.rules.config_agent import agent_only, check_agent_table
from andon.rules.config_control_plane import check_github, check_server
from andon.rules.config_finding import Finding, Severity
from andon.rules.config_fleet import check_fleet
from andon.rules.config_unserved import check_unserved

__all__ = ["Finding", "Severity", "agent_only", "check", "check_agent", "check_control_plane"]


def check(config: Config) -> tuple[Finding, ...]:
    """Everything to be said of this file. A file with `[agent]` alone is judged as an agent's."""
    return check_agent(config) if agent_only(config) else check_control_plane(config)


def check_control_plane(config: Config) -> tuple[Finding, ...]:
    """What matters to `andon up`, which also starts the agent of an `[agent]` table."""
    agent = check_agent_table(config.agent, config.pool) if config.agent is not None else ()
    return (
        *check_server(config.server),
        *check_github(config),
        *check_fleet(config),
        *agent,
        *check_unserved(config),
    )


def check_agent(config: Config) -> tuple[Finding, ...]:
    """What matters to `andon agent run`, which reads `[agent]` only and `[server]` for enrolment."""
    if config.agent is None:
        return ()
    alone = Config(agent=config.agent)
    return (*check_agent_table(config.agent, config.pool), *check_unserved(alone))
