"""`andon agent run`: the host agent. Needs the base install only."""

import msgspec

from andon.agent.run import run_agent
from andon.cli.configuration import load_for_agent
from andon.cli.exits import FINE
from andon.cli.options import ConfigFile, DataFolder, ServerUrl
from andon.cli.service import announce, log_warnings, make_data_folder, serve_until_signal
from andon.rules.listen_address import is_http_url
from andon.runtime.clock import SystemClock
from andon.runtime.environment import environment
from andon.runtime.errors import Refused
from andon.runtime.logging import logger, set_up_logging


def agent_run(*, config: ConfigFile = None, data: DataFolder = None, server: ServerUrl = None) -> int:
    """Run the agent of [agent] until SIGTERM or Ctrl-C; its runners go on after that.

    Parameters
    ----------
    server
        Address of the control plane, instead of the one in [agent].
    """
    loaded = load_for_agent(config, data)
    whole = loaded.config
    if server is not None:
        if not is_http_url(server):
            raise Refused(f'--server: "{server}" is no http or https address. Write it as "http://127.0.0.1:8470".')
        assert whole.agent is not None
        whole = msgspec.structs.replace(whole, agent=msgspec.structs.replace(whole.agent, server=server))
    make_data_folder(loaded.data)
    set_up_logging(program="agent")
    log_warnings(logger("config"), loaded.warnings)
    serve_until_signal(
        lambda stop: run_agent(
            whole,
            config_path=loaded.path,
            data=loaded.data,
            clock=SystemClock(),
            environ=environment(),
            announce=announce,
            stop=stop,
        )
    )
    return FINE
