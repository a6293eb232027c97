"""`andon github create-app` as a process, and a person's browser on its page."""

import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

Start = Callable[..., subprocess.Popen[str]]
"""Starts `andon` with arguments."""


class Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[dict[str, Any]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "form":
            self.forms.append({"action": found["action"], "fields": {}})
        elif tag == "input":
            self.forms[-1]["fields"][found["name"]] = found["value"]

    def handle_data(self, data: str) -> None:
        self.text += data + " "


class Browser:
    """Somebody's browser: keeps cookies, follows redirects."""

    def __init__(self) -> None:
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())

    def fetch(self, url: str, fields: dict[str, str] | None = None) -> tuple[int, str]:
        """A request; with fields a form is sent."""
        return fetch(url, fields, self._opener)


def fetch(
    url: str, fields: dict[str, str] | None = None, opener: urllib.request.OpenerDirector | None = None
) -> tuple[int, str]:
    """A request of who has no cookies, or of an opener that may; redirects are followed."""
    data = urlencode(fields).encode() if fields is not None else None
    try:
        request = urllib.request.Request(url, data=data)
        with (opener or urllib.request.build_opener()).open(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


class Walk:
    """The command as a process, and its page."""

    def __init__(self, start: Start, *arguments: object) -> None:
        self.process = start("github", "create-app", "--no-browser", *arguments)
        assert self.process.stdout is not None and self.process.stderr is not None
        line = (self.process.stderr if "--json" in arguments else self.process.stdout).readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/\S+", line)
        assert found, line + self.process.stderr.read()
        self.url = found[0]
        self.base = self.url.rpartition("/")[0]
        self.browser = Browser()
        self.fetch = self.browser.fetch
        page = Forms()
        page.feed(self.fetch(self.url)[1])
        self.text = page.text
        self.make, self.cancel = page.forms

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err
