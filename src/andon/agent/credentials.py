"""Which credential the agent has, in the order of interfaces.md section 2."""

from pathlib import Path

import msgspec

from andon.agent.layout import Root
from andon.model.config import Config
from andon.model.enrolment import HOST_TOKEN_MARK
from andon.runtime.errors import Refused
from andon.runtime.files import read_secret


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """A token and where it was read."""

    token: str
    path: Path

    @property
    def is_host_token(self) -> bool:
        """Whether it opens the sync, or must be exchanged first."""
        return self.token.startswith(HOST_TOKEN_MARK)


def credential_files(config: Config, *, root: Root, config_path: Path, data: Path) -> tuple[tuple[Path, str], ...]:
    """Where a credential may stand, in order, with what it is called in refusals."""
    files: list[tuple[Path, str]] = [(root.host_token, "host token")]
    if config.agent is not None and config.agent.token_file:
        files.append((data / config.agent.token_file, "agent's token"))
    secret = config.server.agent_token_file
    files.append((config_path.parent / secret, "enrolment secret"))
    files.append((data / secret, "enrolment secret"))
    return tuple(files)


def find_credential(config: Config, *, root: Root, config_path: Path, data: Path) -> Credential:
    """The first credential that is there.

    Raises Refused when there is none, and when the first that is there cannot be read.
    """
    files = credential_files(config, root=root, config_path=config_path, data=data)
    for path, what in files:
        if path.exists():
            return Credential(token=read_secret(path, what=what), path=path)
    wanted = files[1][0]
    raise Refused(
        f"{wanted}: the agent has no credential there nor in {root.host_token}. "
        "Write the token that `andon host add` printed into it."
    )
