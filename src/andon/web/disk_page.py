"""`/disk`: the filesystems of all hosts, the fullest first, and how each came to be so."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from andon.model.api import DiskView
from andon.model.host_states import HostObserved
from andon.store import disk_views, hosts
from andon.store.disks import Sample, samples
from andon.web.control_plane import control_plane
from andon.web.disk_picture import MEANING, Picture, Segment, bar, picture
from andon.web.html_answers import html

SHOWN = 6
"""Filesystems that `/disk` shows in full; a host's page shows all of its own."""
LISTED = 500
LOOK_BACK = timedelta(days=1)
LOOK_BACK_OF_HOST = timedelta(days=14)
_LAMPS = {"ok": "green", "soft": "amber", "hard": "red", "emergency": "red"}
_WORST_FIRST = ("emergency", "hard", "soft", "unknown", "ok")


class DiskStory(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is shown of one filesystem."""

    disk: DiskView
    silent: bool
    """Its host does not report: this is how it was told last."""
    lamp: str
    bar: tuple[Segment, ...]
    picture: Picture | None

    @property
    def id(self) -> str:
        """A name for links to it."""
        return f"{self.disk.host}-{self.disk.mount.strip('/').replace('/', '-') or 'root'}"


def read_disks(connection: Connection, now: datetime, *, host: str) -> tuple[DiskStory, ...]:
    """The filesystems of one host with their last two weeks."""
    found = disk_views.disk_views(connection, LISTED, host=host)
    return _stories(connection, found, now, now - LOOK_BACK_OF_HOST)


def read_fullest(connection: Connection, now: datetime) -> tuple[list[DiskView], tuple[DiskStory, ...]]:
    """Every filesystem, the fullest first, and the first ones with their last day."""
    found = sorted(disk_views.disk_views(connection, LISTED), key=_fullness)
    return found, _stories(connection, found[:SHOWN], now, now - LOOK_BACK)


def _fullness(disk: DiskView) -> tuple[int, float, str, str]:
    level = _WORST_FIRST.index(disk.level) if disk.level in _WORST_FIRST else len(_WORST_FIRST)
    return level, disk.free / max(1, disk.total), disk.host, disk.mount


def _stories(
    connection: Connection, found: Sequence[DiskView], now: datetime, since: datetime
) -> tuple[DiskStory, ...]:
    reporting = {host.name for host in hosts.all_hosts(connection) if host.observed is HostObserved.REPORTING}
    past = {name: samples(connection, name, since) for name in dict.fromkeys(disk.host for disk in found)}
    made: list[DiskStory] = []
    for disk in found:
        silent = disk.host not in reporting
        known = past[disk.host].get(disk.mount, [])
        # What was told last holds until something else is told, as long as the host is heard.
        last = Sample(
            at=max([disk.told_at, *(each.at for each in known[-1:])]) if silent else now,
            mount=disk.mount,
            total=disk.total,
            free=disk.free,
            classes={each.path_class.value: each.bytes for each in disk.classes if each.bytes is not None},
        )
        before = [each for each in known if each.at < last.at]
        made.append(
            DiskStory(
                disk=disk,
                silent=silent,
                lamp="grey" if silent else _LAMPS.get(disk.level, "grey"),
                bar=bar(last),
                picture=picture([*before, last]),
            )
        )
    return tuple(made)


async def disk_page(request: Request) -> Response:
    """The page of all filesystems."""
    control = control_plane(request)
    now: datetime = control.clock.now()
    listed, shown = await control.degradation.read_in_time(lambda connection: read_fullest(connection, now))
    lamps = {_LAMPS.get(disk.level, "grey") for disk in listed}
    lamp = next((each for each in ("red", "amber", "green") if each in lamps), "grey")
    return html(request, "disk.html", now=now, listed=listed, shown=shown, lamp=lamp, lamps=_LAMPS, meaning=MEANING)
