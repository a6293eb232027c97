"""A real browser, driven over its own debugging pipe: JSON messages that end in a zero byte."""

import base64
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_PLACES = ("/usr/bin/chromium", "chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
# The browser reads its orders from file 3 and answers on file 4.
_LAUNCH = """
import fcntl, os, sys
reads, writes = (fcntl.fcntl(int(each), fcntl.F_DUPFD, 10) for each in sys.argv[1:3])
os.dup2(reads, 3)
os.dup2(writes, 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""
PATIENCE_S = 60.0


def find_browser() -> str | None:
    """A Chromium on this machine, or None."""
    return next((found for place in _PLACES if (found := shutil.which(place))), None)


class Tab:
    """One page in the browser."""

    def __init__(self, orders: int, answers: int) -> None:
        self._orders = os.fdopen(orders, "wb", buffering=0)
        self._answers = os.fdopen(answers, "rb", buffering=0)
        self._inbox: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self._last = 0
        self._session: str | None = None
        self.complaints: list[str] = []
        """Exceptions of scripts and whatever the browser refused, as it said it."""

    def _read(self) -> None:
        held = b""
        while chunk := self._answers.read(65536):
            held += chunk
            while b"\0" in held:
                message, _, held = held.partition(b"\0")
                self._inbox.put(json.loads(message))
        self._inbox.put(None)

    def _next(self) -> dict[str, Any]:
        message = self._inbox.get(timeout=PATIENCE_S)
        assert message is not None, "the browser ended"
        match message.get("method"):
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(message["params"]["exceptionDetails"])[:2000])
            case "Log.entryAdded":
                entry = message["params"]["entry"]
                if entry["level"] == "error":
                    self.complaints.append(f"{entry['text']} {entry.get('url', '')}")
            case _:
                pass
        return message

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._last += 1
        order: dict[str, Any] = {"id": self._last, "method": method, "params": params}
        if self._session:
            order["sessionId"] = self._session
        self._orders.write(json.dumps(order).encode() + b"\0")
        while (message := self._next()).get("id") != self._last:
            pass
        assert "error" not in message, (method, message["error"])
        return message["result"]

    def attach(self) -> None:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def shape(self, width: int, height: int, *, dark: bool = False) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        value = "dark" if dark else "light"
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": value}])

    def go(self, url: str) -> None:
        """Opens the page and waits until it is loaded."""
        self.call("Page.navigate", url=url)
        while self._next().get("method") != "Page.loadEventFired":
            pass

    def run(self, script: str) -> Any:
        """The value of an expression in the page; a promise is waited for."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, condition: str, *, seconds: float = 20.0) -> None:
        """Waits until an expression holds, looking whenever the page changes. Raises past `seconds`."""
        self.run(
            f"""new Promise((done, fail) => {{
              setTimeout(() => fail(new Error("not in time")), {seconds * 1000});
              const holds = () => {{ if ({condition}) {{ seen.disconnect(); done(true); }} }};
              const seen = new MutationObserver(holds);
              const what = {{ subtree: true, childList: true, characterData: true, attributes: true }};
              seen.observe(document, what);
              holds();
            }})"""
        )

    def picture(self, path: Path) -> None:
        got = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=False)
        path.write_bytes(base64.b64decode(got["data"]))

    def end(self) -> None:
        """No more orders: the browser leaves."""
        self._orders.close()

    def close(self) -> None:
        self._reader.join(PATIENCE_S)
        self._answers.close()


@contextmanager
def browsing(program: str, folder: Path) -> Iterator[Tab]:
    """A browser with a profile of its own in `folder`."""
    profile = folder / "profile"
    profile.mkdir()
    their_reads, orders = os.pipe()
    answers, their_writes = os.pipe()
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            _LAUNCH,
            str(their_reads),
            str(their_writes),
            program,
            *_FLAGS,
            f"--user-data-dir={profile}",
        ],
        pass_fds=(their_reads, their_writes),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(their_reads)
    os.close(their_writes)
    tab = Tab(orders, answers)
    try:
        tab.attach()
        yield tab
    finally:
        try:
            # A browser whose orders end leaves by itself.
            tab.end()
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)
        tab.close()
