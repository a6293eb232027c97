"""The `andon` program: its commands, and how every error becomes one line and an exit code.

A command's room is imported when it is called, so that the base install runs an agent.
"""

import os
import signal
import sys
import traceback
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from andon import __version__
from andon.cli.exits import FINE, UNUSABLE
from andon.runtime.errors import AndonError, Refused

_SERVER_PACKAGES = frozenset(
    {
        "alembic",
        "cryptography",
        "httptools",
        "jinja2",
        "jwt",
        "prometheus_client",
        "psycopg",
        "re2",
        "sqlalchemy",
        "starlette",
        "uvicorn",
    }
)


def _group(name: str, text: str, **commands: tuple[str, str]) -> App:
    group = App(name=name, help=text, help_format="plaintext")
    for command, (where, about) in commands.items():
        group.command(where, name=command, help=about)
    return group


def make_app() -> App:
    """The parser with all commands, none of them imported yet."""
    app = App(
        name="andon",
        help="Keeps a self-hosted GitHub Actions fleet trustworthy.",
        version=f"andon {__version__}",
        help_format="plaintext",
    )
    here = "andon.cli"
    app.command(f"{here}.up:up", name="up", help="Run the control plane, and an agent where [agent] says so.")
    app.command(f"{here}.install:install_control_plane", name="install", help="Make the control plane a service.")
    app.command(f"{here}.demo:demo", name="demo", help="Run everything on a sandbox GitHub, until Ctrl-C.")
    app.command(
        _group(
            "agent",
            "The host agent.",
            run=(f"{here}.agent_run:agent_run", "Run the agent of [agent]."),
            install=(f"{here}.agent_install:agent_install", "Make slot users, folders and the unit of the agent."),
            enrol=(f"{here}.agent_enrol:agent_enrol", "Enrol this machine with a one-use token."),
            adopt=(f"{here}.agent_adopt:agent_adopt", "Adopt persistent runners as they are, or give them back."),
            status=(f"{here}.agent_status:agent_status", "Ask the agent that lives on this machine."),
        )
    )
    app.command(
        _group(
            "sandbox",
            "A sandbox GitHub, for trying and testing.",
            serve=(f"{here}.sandbox_serve:sandbox_serve", "Serve a fresh sandbox GitHub."),
        )
    )
    app.command(
        _group(
            "github",
            "The connection to GitHub.",
            **{"create-app": (f"{here}.github_create_app:github_create_app", "Make a GitHub App, least privileges.")},
        )
    )
    app.command(f"{here}.doctor:doctor", name="doctor", help="Find what is wrong around Andon, and what to do.")
    app.command(f"{here}.status:status", name="status", help="One screen: is all well?")
    app.command(f"{here}.jobs:jobs", name="jobs", help="Open jobs, and the last that ended.")
    app.command(f"{here}.job:job", name="job", help="One job with its whole story.")
    app.command(f"{here}.why:why", name="why", help="Why a job waits: one answer.")
    app.command(f"{here}.hosts:hosts", name="hosts", help="Hosts with their slots.")
    app.command(f"{here}.incidents:incidents", name="incidents", help="What is wrong, once for each cause.")
    app.command(
        _group(
            "host",
            "Changes of one host.",
            add=(f"{here}.host:host_add", "Make a one-use token for a new host, and the line to run there."),
            remove=(f"{here}.host:host_remove", "Revoke a host's token. What runs there goes on."),
            cordon=(f"{here}.host:host_cordon", "Give a host no new jobs."),
            uncordon=(f"{here}.host:host_uncordon", "Give a host new jobs again."),
        )
    )
    app.command(
        _group(
            "workspace",
            "Directories of runs on the hosts.",
            list=(f"{here}.workspace:workspace_list", "Which run holds what, since when, why it is not gone."),
            show=(f"{here}.workspace:workspace_show", "One workspace."),
        )
    )
    app.command(
        _group(
            "disk",
            "The disks of the hosts, and what the guard does there.",
            status=(f"{here}.disk:disk_status", "Each filesystem: its room, what fills it, what is pinned."),
            plan=(f"{here}.disk_local:disk_plan", "What the guard of this host would do, and what it cannot."),
            sweep=(f"{here}.disk_local:disk_sweep", "Take away now what may go. What a job may still use stays."),
            who=(f"{here}.disk_local:disk_who", "Who deleted a path on this host, and why."),
        )
    )
    app.command(
        _group(
            "config",
            "The configuration file.",
            check=(f"{here}.config_check:config_check", "Say everything that is wrong with it."),
        )
    )
    app.command(
        _group(
            "drill",
            "Incidents of real fleets, played against this version.",
            list=(f"{here}.drill:drill_list", "Name every drill."),
            run=(f"{here}.drill:drill_run", "Play drills, on virtual time or on this host: pass or fail."),
            record=(f"{here}.drill_record:drill_record", "Drive a host over each mark of its disk, for a picture."),
        )
    )
    app.command(f"{here}.triage:app", name="triage", help="Whose failure a log shows: yours or ours.")
    app.command(f"{here}.bench:bench", name="bench", help="Measure ours beside a baseline, in one run.")
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code. Never raises for what a person can put right."""
    app = make_app()
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = app(given, print_error=False, exit_on_error=False, result_action="return_value")
        # Here and not at the exit of the interpreter, where a closed pipe could not be told any more.
        sys.stdout.flush()
        return code if isinstance(code, int) else FINE
    except CycloptsError as error:
        error.verbose = False
        command = " ".join(("andon", *(error.command_chain or ())))
        return _fail(f"{' '.join(str(error).split())} See `{command} --help`.")
    except Refused as refused:
        return _fail(str(refused))
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _SERVER_PACKAGES:
            raise
        return _fail(
            f'this command needs the server part of Andon ("{error.name}" is missing). Install "andon[server]".'
        )
    except AndonError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # Whoever read our output has seen enough; what is flushed at the exit goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FINE
    except Exception:
        # A fault of ours. Python's own exit code for it, 1, would read as "finding".
        traceback.print_exc()
        return UNUSABLE


def _fail(sentence: str) -> int:
    print(f"andon: {sentence}", file=sys.stderr)  # noqa: T201
    return UNUSABLE


if __name__ == "__main__":
    sys.exit(main())
