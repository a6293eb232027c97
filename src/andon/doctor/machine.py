"""Looks at this machine: the modes of secrets, the certificate's end, the room of the data folder."""

import os
import stat
from datetime import datetime
from pathlib import Path

from andon.model.config import Config
from andon.rules.doctor_machine import FileFacts, RoomFacts


def secret_files(config: Config, data: Path) -> tuple[FileFacts, ...]:
    """The secrets that the configuration names and that are there, or hidden from us."""
    server, github = config.server, config.github
    names = [
        github.token_file,
        github.private_key_file,
        github.webhook_secret_file,
        server.agent_token_file,
        server.operator_token_file,
        server.viewer_token_file,
        server.tls_key_file,
        config.agent.token_file if config.agent is not None else None,
    ]
    found: list[FileFacts] = []
    for path in dict.fromkeys(data / name for name in names if name):
        try:
            found.append(FileFacts(path=str(path), mode=stat.S_IMODE(path.stat().st_mode)))
        except FileNotFoundError:
            continue
        except OSError as error:
            found.append(FileFacts(path=str(path), mode=None, said=error.strerror or "hidden from us"))
    return tuple(found)


def certificate_end(path: Path) -> tuple[datetime | None, str]:
    """When the first certificate of a PEM file ends; None with the reason when that cannot be read."""
    # Here and not above: the reading commands come with the base install.
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return load_pem_x509_certificates(path.read_bytes())[0].not_valid_after_utc, ""
    except OSError as error:
        return None, error.strerror or "it cannot be read"
    except ValueError:
        return None, "it is no certificate in PEM form"


def room_of(folder: Path) -> tuple[RoomFacts | None, str]:
    """The file system that a folder lies on; None with the reason when that cannot be read."""
    try:
        found = os.statvfs(folder)
    except OSError as error:
        return None, f"{folder}: {error.strerror}"
    return (
        RoomFacts(
            path=str(folder),
            free=found.f_bavail * found.f_frsize,
            total=found.f_blocks * found.f_frsize,
            inodes_free=found.f_favail,
            inodes=found.f_files,
        ),
        "",
    )
