"""Finds, loads and checks the configuration file, and looks at the files that it names."""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from andon.cli.options import DEFAULT_CONFIG
from andon.model.config import Config
from andon.rules.config_checks import agent_only, check, check_agent, check_control_plane
from andon.rules.config_finding import Finding, KeyPath, Severity, refused
from andon.runtime.errors import Refused
from andon.runtime.files import read_secret
from andon.runtime.toml_file import line_of, load_toml


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """A finding with the place in the file that it belongs to."""

    file: Path
    line: int
    finding: Finding

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.finding.what}"


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration that can be used, and the folders that it speaks of."""

    config: Config
    path: Path
    data: Path
    warnings: tuple[Placed, ...] = ()


def config_path(given: Path | None) -> Path:
    """The file that --config names, or the default."""
    return given if given is not None else DEFAULT_CONFIG


def data_folder(path: Path, given: Path | None) -> Path:
    """The folder that --data names; otherwise the configuration file's. Absolute."""
    return (given if given is not None else path.parent).absolute()


def load_for_control_plane(given: Path | None, data: Path | None, listen: str | None = None) -> Loaded:
    """The configuration of `andon up`, with the files that it needs; `listen` overrides the file's.

    Raises Refused.
    """
    path = config_path(given)
    config = load_toml(path, Config)
    if listen is not None:
        config = msgspec.structs.replace(config, server=msgspec.structs.replace(config.server, listen=listen))
    folder = data_folder(path, data)
    findings = check_control_plane(config)
    for finding in findings:
        if listen is not None and finding.severity is Severity.REFUSED and finding.path == ("server", "listen"):
            raise Refused(f"--listen: {finding.what}")
    return _loaded(path, config, folder, (*findings, *missing_files(config, folder)))


def load_for_agent(given: Path | None, data: Path | None) -> Loaded:
    """The configuration of `andon agent run`. Raises Refused, also when there is no `[agent]`."""
    path = config_path(given)
    config = load_toml(path, Config)
    if config.agent is None:
        raise Refused(f"{path}:1: no [agent] table. Add one with `name` and [[agent.slots]].")
    return _loaded(path, config, data_folder(path, data), check_agent(config))


def findings_of(path: Path, data: Path | None) -> tuple[Config, tuple[Placed, ...]]:
    """Everything that `config check` has to say, by line. Raises Refused when the file cannot be read."""
    config = load_toml(path, Config)
    folder = data_folder(path, data)
    files = () if agent_only(config) else missing_files(config, folder)
    return config, placed(path, (*check(config), *files))


def missing_files(config: Config, data: Path) -> tuple[Finding, ...]:
    """Files that a control plane needs and does not make by itself, and that cannot be read."""
    server, github = config.server, config.github
    wanted: list[tuple[KeyPath, str | None, str]] = [
        (
            ("github", "webhook_secret_file"),
            github.webhook_secret_file if github.ingest == "webhook" else None,
            "webhook secret",
        ),
        (("github", "token_file"), github.token_file, "GitHub token"),
        (("server", "viewer_token_file"), server.viewer_token_file if server.read == "token" else None, "viewer token"),
        (("server", "tls_cert_file"), server.tls_cert_file, "TLS certificate"),
        (("server", "tls_key_file"), server.tls_key_file, "TLS key"),
    ]
    out: list[Finding] = []
    for path, name, what in wanted:
        if name is not None:
            try:
                # Only the tokens travel in headers.
                read_secret(data / name, what=what, text=not what.endswith("token"))
            except Refused as error:
                out.append(refused(str(error), *path))
    return tuple(out)


def placed(path: Path, findings: Iterable[Finding]) -> tuple[Placed, ...]:
    """The findings with their lines, in the order of the file."""
    text = path.read_text(encoding="utf-8")
    found = [Placed(file=path, line=line_of(text, *one.path), finding=one) for one in findings]
    return tuple(sorted(found, key=lambda one: one.line))


def _loaded(path: Path, config: Config, data: Path, findings: Iterable[Finding]) -> Loaded:
    every = placed(path, findings)
    _refuse_first(every)
    return Loaded(config=config, path=path.absolute(), data=data, warnings=every)


def _refuse_first(findings: Iterable[Placed]) -> None:
    for one in findings:
        if one.finding.severity is Severity.REFUSED:
            raise Refused(str(one))
