"""`andon github create-app`: a GitHub App with the fewest permissions, on a page of this machine."""

import asyncio
import contextlib
import sys
import webbrowser
from typing import Annotated

import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number

from andon.cli.configuration import config_path, data_folder
from andon.cli.exits import FINE
from andon.cli.options import ConfigFile, DataFolder, Json
from andon.cli.output import print_json
from andon.model.config import Config
from andon.rules.config_fleet import LOGIN
from andon.runtime.clock import SystemClock
from andon.runtime.errors import Refused
from andon.runtime.ids import new_secret
from andon.runtime.toml_file import load_toml

Organisation = Annotated[
    str | None, Parameter(name="--organisation", help="Make it for this organisation. Default: your own account.")
]
Name = Annotated[str | None, Parameter(name="--name", help='The App\'s name. Default: "andon-" and the organisation.')]
Least = Annotated[bool, Parameter(name="--least", negative="", help="Ask for no permission that can be done without.")]
Minutes = Annotated[float, Parameter(name="--minutes", help="How long to wait for GitHub.", validator=Number(gt=0))]
NoBrowser = Annotated[bool, Parameter(name="--no-browser", negative="", help="Print the page's address only.")]


def github_create_app(
    *,
    organisation: Organisation = None,
    name: Name = None,
    least: Least = False,
    minutes: Minutes = 30.0,
    no_browser: NoBrowser = False,
    config: ConfigFile = None,
    data: DataFolder = None,
    json: Json = False,
) -> int:
    """Show what the App may do and why, make it at GitHub, and write its key and webhook secret.

    Nothing that is there already is overwritten. The configuration needs no credential yet.
    """
    from andon.setup.app_files import files_of
    from andon.setup.create_app import AppCreation
    from andon.setup.door_file import DoorFile

    path = config_path(config)
    file = load_toml(path, Config) if config is not None or path.exists() else Config()
    if organisation is not None and not LOGIN.fullmatch(organisation):
        raise Refused(f'--organisation: "{organisation}" is no GitHub login. Write the organisation\'s login alone.')
    messages = sys.stderr if json else sys.stdout

    def say(text: str) -> None:
        messages.write(f"{text}\n")
        messages.flush()

    def announce(url: str) -> None:
        say(f"Open this page in a browser of this machine: {url}")
        if not no_browser and sys.stdout.isatty():
            # Not the address itself: every user of this machine can read a browser's command line.
            with contextlib.suppress(OSError):
                webbrowser.open(door.write(url))

    creation = AppCreation(
        file,
        files_of(file, data_folder(path, data)),
        organisation=organisation,
        name=name if name is not None else f"andon-{organisation}"[:34] if organisation else "andon",
        least=least,
        new_secret=new_secret,
        say=say,
    )
    door = DoorFile()
    try:
        made = asyncio.run(creation.run(announce=announce, clock=SystemClock(), timeout_s=minutes * 60))
    finally:
        door.remove()
    if json:
        print_json(msgspec.to_builtins(made))
    else:
        say(f"\n{made.name} is made. Put this into {path}:\n\n{made.lines}\nThen install it: {made.install_url}")
    return FINE
