"""Which control plane a command asks, and with which token (interfaces.md section 2)."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from andon.cli.configuration import config_path, data_folder
from andon.model.config import Config
from andon.rules.config_checks import agent_only
from andon.rules.listen_address import is_http_url, parse_listen
from andon.runtime.errors import Refused
from andon.runtime.files import read_secret
from andon.runtime.toml_file import load_toml


class ServerChoice(msgspec.Struct, frozen=True, kw_only=True):
    """An address, and what is needed to be let in there."""

    url: str
    token: str | None = None
    ca_file: Path | None = None


def choose_server(
    *,
    config: Path | None,
    data: Path | None,
    server: str | None,
    token_file: Path | None,
    environ: Mapping[str, str],
    to_change: bool = False,
) -> ServerChoice:
    """The control plane by --server, ANDON_SERVER or the file; its token by --token-file,
    ANDON_TOKEN_FILE or the data folder. Raises Refused when no server is named.

    `to_change`: only the operator token will do.

    A token that was merely found is sent only where the file or --data says that it belongs.
    """
    path = config_path(config)
    file = load_toml(path, Config) if config is not None or path.exists() else None
    named, by = (server, "--server") if server is not None else (environ.get("ANDON_SERVER"), "ANDON_SERVER")
    if not named and file is None:
        raise Refused(
            f"{path}: no such file, so no control plane is known. Name one with --server or ANDON_SERVER, "
            "or a file with --config."
        )
    if named:
        if not is_http_url(named):
            raise Refused(f'{by}: "{named}" is no http or https address. Write it as "http://127.0.0.1:8470".')
        url = named.rstrip("/")
    else:
        assert file is not None
        url = _address_of(file, path)
    folder = data_folder(path, data)
    belongs = data is not None or not named
    found = _found_token(file or Config(), folder, to_change=to_change) if belongs else None
    return ServerChoice(
        url=url,
        token=_given_token(token_file, environ) or found,
        ca_file=_ca_file(file, folder, own=not named) if file is not None else None,
    )


def _ca_file(config: Config, folder: Path, *, own: bool) -> Path | None:
    """Who signed the server's certificate; for a control plane's `own` file it is that certificate."""
    if config.agent is not None and config.agent.ca_file:
        return folder / config.agent.ca_file
    if not own or not config.server.tls_cert_file:
        return None
    certificate = folder / config.server.tls_cert_file
    return certificate if certificate.exists() else None


def _address_of(config: Config, path: Path) -> str:
    if agent_only(config):
        assert config.agent is not None
        return config.agent.server.rstrip("/")
    server = config.server
    address = parse_listen(server.listen)
    if address is None or address.port == 0:
        if server.public_url is not None:
            return server.public_url.rstrip("/")
        raise Refused(f'{path}: listen is "{server.listen}", which names no fixed port. Name the server with --server.')
    if server.public_url is not None and (server.tls_cert_file or not address.is_loopback):
        # With TLS the name matters: the certificate has the one that people use.
        return server.public_url.rstrip("/")
    if address.is_everywhere:
        address = msgspec.structs.replace(address, host="::1" if ":" in address.host else "127.0.0.1")
    return f"{'https' if server.tls_cert_file else 'http'}://{address}"


def _given_token(token_file: Path | None, environ: Mapping[str, str]) -> str | None:
    if token_file is not None:
        return read_secret(token_file, what="token")
    named = environ.get("ANDON_TOKEN_FILE")
    return read_secret(Path(named), what="token (ANDON_TOKEN_FILE)") if named else None


def _found_token(config: Config, data: Path, *, to_change: bool) -> str | None:
    """A token that lies where the control plane keeps its own; to read, one of less power first."""
    to_read = () if to_change else (config.server.viewer_token_file,)
    for name in (*to_read, config.server.operator_token_file):
        try:
            return read_secret(data / name, what="token")
        except Refused:
            # Not ours to read, or not needed: the server says so when it is.
            continue
    return None
