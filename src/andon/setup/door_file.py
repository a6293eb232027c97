"""A file that leads a browser to an address with a secret in it, so that the secret is on no command line."""

import contextlib
import shutil
import tempfile
from html import escape
from pathlib import Path


class DoorFile:
    """One page of its owner alone, in a folder of its owner alone; to be removed."""

    def __init__(self) -> None:
        self._folder: Path | None = None

    def write(self, url: str) -> str:
        """Writes it; gives its own address, which says nothing of `url`. Raises OSError."""
        self._folder = Path(tempfile.mkdtemp(prefix="andon-"))
        page = self._folder / "open.html"
        page.touch(mode=0o600)
        link = escape(url, quote=True)
        page.write_text(
            f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url={link}">'
            f'<title>Andon</title><a href="{link}">Go on</a>',
            encoding="utf-8",
        )
        return page.as_uri()

    def remove(self) -> None:
        """Takes it away, if it was written."""
        if self._folder is not None:
            with contextlib.suppress(OSError):
                shutil.rmtree(self._folder)
