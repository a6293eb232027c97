"""What `[server]` and `[github]` must satisfy for a control plane to start."""

from collections.abc import Iterator

from andon.model.config import Config, GitHub, Server
from andon.rules.config_finding import Finding, refused, warning
from andon.rules.listen_address import is_http_url, is_on_this_machine, is_plain_http_elsewhere, parse_listen

_SQLITE = "sqlite:///"
_POSTGRES = "postgresql://"


def is_behind_proxy(server: Server) -> bool:
    """Whether a proxy stands in front: declared, or to be seen by an address of the pages that cannot be ours.

    Who listens on loopback without TLS is reached neither by https nor from another machine.
    """
    address = parse_listen(server.listen)
    unreachable = address is not None and address.is_loopback and not server.tls_cert_file
    url = server.public_url
    elsewhere = url is not None and (url.startswith("https:") or not is_on_this_machine(url))
    return server.behind_proxy or (unreachable and elsewhere)


def check_server(server: Server) -> Iterator[Finding]:
    """`[server]`: the address, TLS, the database, the pages' address."""
    address = parse_listen(server.listen)
    if address is None:
        yield refused(
            f'listen is "{server.listen}", which is not HOST:PORT with a port from 0 to 65535. '
            'Write it as "127.0.0.1:8470".',
            "server",
            "listen",
        )
    elif not address.is_loopback and not (server.tls_cert_file and server.tls_key_file) and not server.behind_proxy:
        yield refused(
            f'listen is "{server.listen}", which other machines can reach, without TLS. Set tls_cert_file and '
            "tls_key_file, or behind_proxy = true where a proxy does TLS, or listen on 127.0.0.1.",
            "server",
            "listen",
        )
    if server.tls_cert_file and not server.tls_key_file:
        yield refused("tls_cert_file is set without tls_key_file. Name the key's file too.", "server", "tls_cert_file")
    if server.tls_key_file and not server.tls_cert_file:
        yield refused(
            "tls_key_file is set without tls_cert_file. Name the certificate's file too.", "server", "tls_key_file"
        )
    yield from _check_database(server)
    if server.public_url is not None and not is_http_url(server.public_url):
        yield refused(
            f'public_url is "{server.public_url}", which is no http or https address. '
            'Write it as "https://ci.example.org".',
            "server",
            "public_url",
        )
    elif server.public_url is not None and server.tls_cert_file and server.public_url.startswith("http:"):
        yield warning(
            f'public_url is "{server.public_url}", and TLS is served: what stands in job logs and in the line of '
            "`andon host add` leads nowhere. Write it with https.",
            "server",
            "public_url",
        )
    elif is_behind_proxy(server) and not server.behind_proxy:
        yield warning(
            f'public_url is "{server.public_url}", and only this machine reaches "{server.listen}": a proxy stands in '
            "between, so hosts enrol with one-use tokens only. Set behind_proxy = true.",
            "server",
            "public_url",
        )
    if server.blobs != Server().blobs:
        yield warning(
            f'blobs is "{server.blobs}"; this version keeps no blobs yet, so it changes nothing.', "server", "blobs"
        )


def _check_database(server: Server) -> Iterator[Finding]:
    url = server.database
    if url.startswith(_POSTGRES):
        authority, _, name = url.removeprefix(_POSTGRES).partition("/")
        if ":" in authority.rpartition("@")[0]:
            yield refused(
                "database holds a password. Take it out, and keep it in the server user's ~/.pgpass file.",
                "server",
                "database",
            )
        if not name.strip("/"):
            yield refused(
                'database names no database. Write it as "postgresql://user@host/name".', "server", "database"
            )
    elif not url.startswith(_SQLITE) or not url.removeprefix(_SQLITE):
        # The address may carry a password, so only its kind is repeated.
        kind = url.partition("://")[0] if "://" in url else url
        yield refused(
            f'database is of the kind "{kind}", which is unknown. '
            'Use "sqlite:///FILE" or "postgresql://USER@HOST/NAME".',
            "server",
            "database",
        )


def check_github(config: Config) -> Iterator[Finding]:
    """`[github]`: the API's address, the periods, and exactly one credential."""
    github = config.github
    if not is_http_url(github.api_url):
        yield refused(
            f'api_url is "{github.api_url}", which is no http or https address. '
            'Use "https://api.github.com", or your server\'s.',
            "github",
            "api_url",
        )
    elif is_plain_http_elsewhere(github.api_url):
        yield warning(
            f'api_url is "{github.api_url}": the GitHub credential would travel unencrypted. Use https.',
            "github",
            "api_url",
        )
    for name, seconds in (("poll_seconds", github.poll_seconds), ("sweep_seconds", github.sweep_seconds)):
        if not seconds > 0:
            yield refused(f"{name} is {seconds:g}. Set it to more than 0 seconds.", "github", name)
    if not 1 <= github.budget_percent <= 100:
        yield refused(
            f"budget_percent is {github.budget_percent:g}. Set it from 1 to 100: the part of GitHub's quota that may "
            "be used.",
            "github",
            "budget_percent",
        )
    yield from _check_credential(github)
    yield from _check_polling(config)


def _check_polling(config: Config) -> Iterator[Finding]:
    """Without webhooks, an owner whose repositories nobody names is never looked at."""
    if config.github.ingest != "poll" or config.github.app_id is not None:
        return
    for number, owner in enumerate(config.owner):
        if not owner.repositories:
            yield refused(
                f'{owner.login} has no repositories, ingest is "poll", and a token does not tell which there are. '
                "Name them in repositories, or use a GitHub App.",
                "owner",
                number,
                "repositories",
            )


def _check_credential(github: GitHub) -> Iterator[Finding]:
    app = github.app_id is not None or github.private_key_file is not None
    key = "app_id" if github.app_id is not None else "private_key_file"
    if app and github.token_file is not None:
        yield refused(
            f"token_file and {key} are both set. Keep one credential: the App's, or token_file.", "github", key
        )
    elif github.app_id is not None and github.private_key_file is None:
        yield refused("app_id is set without private_key_file. Name the App's key file too.", "github", key)
    elif github.app_id is None and app:
        yield refused("private_key_file is set without app_id. Set app_id to the App's number.", "github", key)
    elif github.app_id is not None and github.app_id < 1:
        yield refused(f"app_id is {github.app_id}. It is the number on the App's settings page.", "github", key)
    elif not app and github.token_file is None:
        yield refused(
            "no GitHub credential is named. Set token_file to the file of a token, or app_id and private_key_file.",
            "github",
        )
