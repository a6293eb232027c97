"""The App's private key and the webhook secret as files: of their owner alone, never over others."""

import os
from pathlib import Path

import msgspec

from andon.model.config import Config
from andon.runtime.errors import Refused

DEFAULT_KEY_FILE = "app.pem"


class AppFiles(msgspec.Struct, frozen=True, kw_only=True):
    """Where they go."""

    key: Path
    secret: Path

    def check_free(self) -> None:
        """Raises Refused when one of them is there already, or could not be written."""
        for path in (self.key, self.secret):
            if path.exists() or path.is_symlink():
                raise Refused(f"{path}: this file is there already, and is not overwritten. Move it away first.")
            if not os.access(path.parent, os.W_OK):
                raise Refused(
                    f"{path.parent}: no file can be written there. Make the folder, or name another by --data."
                )

    def write(self, *, key: str, secret: str) -> None:
        """Writes both, 0600. Raises Refused when one cannot be written whole; the one before it is kept."""
        for path, content in ((self.key, key), (self.secret, secret)):
            try:
                _write_new(path, content.strip() + "\n")
            except OSError as error:
                raise Refused(
                    f"{path}: the file could not be written ({error.strerror}). The App is made; make a new key or "
                    "secret on its settings page, and write it there."
                ) from None


def _write_new(path: Path, content: str) -> None:
    """A file of its owner alone that was not there; whole and on the disk, or not at all. Raises OSError."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(file, "w", encoding="utf-8") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(file)
    except BaseException:
        # Half a key would be in the way of the whole one.
        path.unlink(missing_ok=True)
        raise


def files_of(config: Config, data: Path) -> AppFiles:
    """Where the configuration says that they are, or would be looked for."""
    return AppFiles(
        key=data / (config.github.private_key_file or DEFAULT_KEY_FILE),
        secret=data / config.github.webhook_secret_file,
    )
