"""Disks and deletions over the wire: told by an agent in plain JSON, acknowledged, counted, read again."""

from typing import Any

import msgspec
import pytest

from andon.model.api import DiskView, HostView, Page
from andon.sim.virtual_time import VirtualClock
from andon.store import hosts
from andon.store.transaction import Store
from andon.web.control_plane import ControlPlane
from tests.support.builders import START
from tests.support.control import a_control_plane, ask
from tests.support.running import write

GIB = 2**30
TOKENS = {"host-a": "aht_a", "host-b": "aht_b"}
DISK = {"mount": "/data", "total": 100 * GIB, "free": 60 * GIB, "floor": 5 * GIB, "level": "soft", "slots": [0]}
GONE = {
    "id": "d-1",
    "at": "2026-01-01T00:00:00Z",
    "path": "/data/runs/0/x",
    "path_class": "dead",
    "actor": "agent:guard",
    "reason": "its run is over",
    "bytes": 7,
}


@pytest.fixture
def control(store: Store, clock: VirtualClock) -> ControlPlane:
    for name, token in TOKENS.items():
        write(store, lambda tx, name=name, token=token: hosts.enrol(tx, name, token))
    return a_control_plane(store, clock)


def sync(control: ControlPlane, seq: int, name: str = "host-a", **sections: Any) -> Any:
    body = {"v": 1, "host": name, "boot_id": "b", "seq": seq, "agent_version": "1", **sections}
    # Something to acknowledge: the answer is not held.
    body.setdefault("ended", [{"claim": "clm_none", "generation": 1, "at": START.isoformat()}])

    async def work(http: Any) -> Any:
        bearer = {"authorization": f"Bearer {TOKENS[name]}"}
        return await http.post("/agent/v1/sync", json=body, headers=bearer)

    return ask(control, work)


def get(control: ControlPlane, path: str) -> Any:
    return ask(control, lambda http: http.get(path))


def disks(control: ControlPlane, query: str = "") -> tuple[DiskView, ...]:
    return msgspec.json.decode(get(control, f"/api/v1/disk{query}").content, type=Page[DiskView]).items


def test_deletions_are_acknowledged_counted_once_and_shown(control: ControlPlane) -> None:
    for seq in (1, 2):
        answer = sync(control, seq, disk=[DISK], deletions=[GONE], ended=[])
        assert answer.status_code == 200 and answer.json()["ack"] == seq, "it is answered at once"
    (disk,) = disks(control)
    assert [(each.path, each.path_class, each.bytes) for each in disk.deletions] == [("/data/runs/0/x", "dead", 7)]
    metrics = get(control, "/metrics").text
    assert 'andon_guard_deletions_total{class="dead"} 1.0' in metrics
    (free,) = (line for line in metrics.splitlines() if line.startswith("andon_disk_free_bytes{"))
    assert 'host="host-a",mount="/data"' in free and float(free.split()[-1]) == 60 * GIB


def test_the_list_has_the_shape_of_the_interface_and_goes_on(control: ControlPlane) -> None:
    sync(control, 1, disk=[DISK, {**DISK, "mount": "/"}])
    sync(control, 1, "host-b", disk=[{**DISK, "mount": "/"}])
    body = get(control, "/api/v1/disk?limit=1").json()
    (item,) = body["items"]
    assert {"host", "mount", "classes", "pinned", "deletions"} <= set(item)
    seen = [item]
    while body["next"]:
        body = get(control, f"/api/v1/disk?limit=1&cursor={body['next']}").json()
        seen += body["items"]
    assert [(each["host"], each["mount"]) for each in seen] == [("host-a", "/"), ("host-a", "/data"), ("host-b", "/")]
    assert [each.host for each in disks(control, "?host=host-b")] == ["host-b"]
    assert disks(control, "?host=nobody") == ()
    host = msgspec.json.decode(get(control, "/api/v1/hosts/host-b").content, type=HostView)
    assert [(each.mount, each.level, each.reserved) for each in host.disk] == [("/", "soft", 0)]
    told = get(control, "/api/v1/hosts/host-b").json()["disk"][0]
    assert {"mount", "total", "free", "inodes_free", "reserved", "level", "full_in_s"} <= set(told)


def test_what_only_a_newer_agent_says_breaks_nothing(control: ControlPlane) -> None:
    newer = {**DISK, "level": "melting", "classes": [{"class": "moonbase", "bytes": 9, "shape": "round"}], "colour": 1}
    answer = sync(control, 1, disk=[newer], deletions=[{**GONE, "path_class": "moonbase", "by_whom": "x"}])
    assert answer.status_code == 200
    (disk,) = disks(control)
    assert disk.level == "unknown" and disk.classes[0].path_class.value == "other"
    assert disk.deletions[0].path_class == "moonbase"
    assert 'andon_guard_deletions_total{class="other"} 1.0' in get(control, "/metrics").text


def test_hostile_texts_are_kept_without_what_no_database_takes(control: ControlPlane) -> None:
    wild = "/data/a\0b\x1b[31m\u202e<script>"
    pinned = [{"path": wild, "by": wild}]
    answer = sync(control, 1, disk=[{**DISK, "pinned": pinned}], deletions=[{**GONE, "path": wild, "reason": wild}])
    assert answer.status_code == 200
    (disk,) = disks(control)
    assert "\0" not in disk.pinned[0].path + disk.deletions[0].path and "script" in disk.deletions[0].path


def test_a_number_that_no_database_keeps_is_refused_and_the_next_sync_is_served(control: ControlPlane) -> None:
    assert sync(control, 1, disk=[{**DISK, "total": 2**63}]).status_code == 422
    assert sync(control, 2, deletions=[{**GONE, "bytes": -1}]).status_code == 422
    assert sync(control, 3, disk=[DISK]).status_code == 200
    assert len(disks(control)) == 1
