"""HOST:PORT as the configuration writes it, and what kind of place that is."""

import ipaddress
import re

import msgspec

_ADDRESS = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+)):(?P<port>[0-9]{1,5})")
_URL = re.compile(r"https?://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?(?:/[^\s?#]*)?")


class ListenAddress(msgspec.Struct, frozen=True, kw_only=True):
    """Where a server listens. Port 0 takes a free one."""

    host: str
    """Without brackets."""
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)

    @property
    def is_everywhere(self) -> bool:
        """Whether it stands for every address of the machine."""
        try:
            return ipaddress.ip_address(self.host).is_unspecified
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_listen(text: str) -> ListenAddress | None:
    """`text` read as HOST:PORT, an IPv6 host in brackets; None when it is none."""
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found["port"]) > 65535:
        return None
    if found["v6"] is not None:
        try:
            ipaddress.IPv6Address(found["v6"])
        except ValueError:
            return None
    return ListenAddress(host=found["v6"] or found["name"], port=int(found["port"]))


def is_loopback(host: str) -> bool:
    """Whether `host`, a name or an address, is this machine as only it can reach itself."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_http_url(text: str) -> bool:
    """Whether `text` is an http or https address with a host, and a port that exists if it names one."""
    found = _URL.fullmatch(text)
    return found is not None and (found["port"] is None or 0 < int(found["port"]) <= 65535)


def is_on_this_machine(url: str) -> bool:
    """Whether an http or https address names this machine as only it can reach itself."""
    found = _URL.fullmatch(url)
    return found is not None and is_loopback(found["host"])


def is_plain_http_elsewhere(url: str) -> bool:
    """Whether `url` is http on another machine: what is sent there can be read on the way."""
    return is_http_url(url) and url.startswith("http:") and not is_on_this_machine(url)
