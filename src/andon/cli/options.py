"""Options that several commands take, each described once."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

DEFAULT_CONFIG = Path("andon.toml")

ConfigFile = Annotated[Path | None, Parameter(name="--config", help="Configuration file. Default: andon.toml.")]
DataFolder = Annotated[
    Path | None, Parameter(name="--data", help="Folder of all that is kept. Default: the configuration file's.")
]
ServerUrl = Annotated[
    str | None,
    Parameter(name="--server", help="Address of the control plane. Default: ANDON_SERVER, else by --config."),
]
TokenFile = Annotated[
    Path | None, Parameter(name="--token-file", help="File of a token. Default: ANDON_TOKEN_FILE, else from --data.")
]
Reason = Annotated[str, Parameter(name="--reason", help="Why. It stands in the journal.")]
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON.")]
Listen = Annotated[str | None, Parameter(name="--listen", help="HOST:PORT to listen on; port 0 takes a free one.")]
PlanOnly = Annotated[bool, Parameter(name="--plan", negative="", help="Show the steps; do nothing.")]
RootPrefix = Annotated[
    Path | None, Parameter(name="--root-prefix", help="Do everything below this folder, for images and tests.")
]
