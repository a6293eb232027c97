"""What a test needs of the machine's names."""

import socket

import pytest


def need_localhost() -> None:
    """Skips, loudly, where no file says what `localhost` is: a machine that was only just made."""
    try:
        socket.getaddrinfo("localhost", None)
    except OSError:
        pytest.skip("NO LOCALHOST: the name is not known here; write it into /etc/hosts to run this test")
