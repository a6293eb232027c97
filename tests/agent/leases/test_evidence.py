"""What still uses a workspace is seen: from this host, from containers, and where it hides."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from andon.agent.cgroups import cgroup_base
from andon.agent.layout import Root
from andon.agent.leases.evidence import Evidence
from andon.agent.leases.mounts import Location, parse_mounts, sights
from andon.agent.leases.process_use import Folder, find_uses
from andon.agent.leases.table import LeaseTable
from andon.agent.leases.unreadable import Stranger, matters
from andon.agent.process_identity import boot_id
from andon.model.workspace_states import WorkspaceState
from andon.model.workspaces import Holder
from andon.runtime.clock import SystemClock
from andon.runtime.logging import logger

as_root = pytest.mark.skipif(os.getuid() != 0, reason="kernel: only root makes mount namespaces")


def holders(*records, lock_files=None):
    """Who holds each, as a set of kinds."""
    evidence = Evidence(SystemClock(), boot_id())
    found = asyncio.run(evidence.holds(records, lock_files))
    return {id: {hold.by for hold in holds} for id, holds in found.items()}


def in_a_namespace(sleeper, script: str, **more: object) -> subprocess.Popen[bytes]:
    """A process with mounts of its own; it stays when `script` is done."""
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", f"{script}\necho ready\nread -r x"]
    process = sleeper(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **more)
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    return process


def test_this_hosts_processes_are_seen(make_record, sleeper, tmp_path):
    records = [make_record(name) for name in ("cwd", "open", "exe", "mapped", "environment", "alive", "free", "cwd2")]
    folder = {record.id: Path(record.path) for record in records}
    (folder["cwd"] / "deep").mkdir()
    program = folder["exe"] / "sleep"
    program.write_bytes(Path("/bin/sleep").resolve().read_bytes())
    program.chmod(0o755)
    (folder["mapped"] / "file").write_bytes(b"x" * 4096)
    sleeper(cwd=folder["cwd"] / "deep")
    with (folder["open"] / "file").open("w") as file:
        sleeper(stdin=file)
    (folder["open"] / "file").unlink()
    sleeper(str(program), "1000")
    # Not by Python's own mmap, which keeps a descriptor.
    maps = (
        "import ctypes, os, sys; f = os.open(sys.argv[1], os.O_RDONLY); c = ctypes.CDLL(None); "
        "c.mmap.restype = ctypes.c_void_p; c.mmap(None, ctypes.c_size_t(4096), 1, 2, f, ctypes.c_long(0)); "
        "os.close(f); print(flush=True); sys.stdin.read()"
    )
    mapper = sleeper(sys.executable, "-c", maps, folder["mapped"] / "file", stdin=-1, stdout=-1)
    assert mapper.stdout.readline() == b"\n"
    sleeper(env={"RUNNER_TRACKING_ID": "github_environment"})
    records[5] = make_record("alive", pid=sleeper().pid)
    # Which process it is stands in the record: one that began at another time is another.
    record = make_record("free", pid=sleeper().pid)
    records[6] = msgspec.structs.replace(
        record, process=msgspec.structs.replace(record.process, start=record.process.start - 1)
    )
    assert holders(*records) == {
        "cwd": {Holder.FILE},
        "open": {Holder.FILE},
        "exe": {Holder.FILE},
        "mapped": {Holder.FILE},
        "environment": {Holder.PROCESS},
        "alive": {Holder.PROCESS},
        "free": set(),
        "cwd2": set(),
    }


def test_names_from_hell_are_told_apart_and_said_in_one_line(make_record, sleeper, tmp_path):
    names = ["new\nline", "a b", "tab\there", "back\\slash", "gone (deleted)", "\u2028", "trailing "]
    records = [make_record(f"id-{number}", path=tmp_path / "runs" / name) for number, name in enumerate(names)]
    for record in records[:-1]:
        sleeper(cwd=record.path)
    found = asyncio.run(Evidence(SystemClock(), boot_id()).holds(records))
    assert [len(found[record.id]) for record in records] == [1] * (len(names) - 1) + [0]
    assert all(hold.text.isprintable() for holds in found.values() for hold in holds)


@as_root
def test_a_container_with_a_part_of_it_mounted_is_seen(make_record, sleeper, tmp_path):
    """The links of its processes show the container's own paths; some do not even work in it."""
    whole, part, unused = (make_record(name) for name in ("whole", "part", "unused"))
    (Path(part.path) / "target").mkdir()
    point = tmp_path / "point"
    point.mkdir()
    process = in_a_namespace(sleeper, f"mount --bind {part.path}/target {point}; cd /")
    other = in_a_namespace(sleeper, f"mount --bind {whole.path} {point}; cd {point}")
    found = holders(whole, part, unused)
    assert found == {"whole": {Holder.MOUNT, Holder.FILE}, "part": {Holder.MOUNT}, "unused": set()}
    for each in (process, other):
        each.kill()
        each.wait()
    assert holders(whole, part, unused) == {"whole": set(), "part": set(), "unused": set()}


@as_root
def test_a_job_container_that_mounts_the_runners_whole_work_folder_is_seen(make_record, sleeper, tmp_path):
    """R92: what lies in _work is to be seen in it, though nothing works there now. A mount of more tells nothing."""
    mine, theirs = tmp_path / "mine" / "runner", tmp_path / "theirs" / "runner"
    records = [
        make_record("mine", path=mine / "_work" / "_andon" / "mine"),
        make_record("theirs", path=theirs / "_work" / "_andon" / "theirs"),
        make_record("other", path=mine / "_work" / "other"),
        # Seen unused once: what mounts the folder now is an adopted runner's next job.
        make_record("dead", path=mine / "_work" / "_andon" / "dead", state=WorkspaceState.DEAD),
        make_record("renamed", path=tmp_path / "builds" / "_andon" / "renamed"),
    ]
    free: dict[str, set[Holder]] = {"theirs": set(), "other": set(), "dead": set(), "renamed": set()}
    (mine / "_work" / "_temp").mkdir()
    point = tmp_path / "point"
    point.mkdir()
    for mounted, expected in [
        (mine / "_work", {Holder.MOUNT}),
        (mine / "_work" / "_andon", {Holder.MOUNT}),
        (mine / "_work" / "_temp", set()),
        (mine, set()),
        (tmp_path, set()),
    ]:
        process = in_a_namespace(sleeper, f"cd /; mount --bind {mounted} {point}")
        assert holders(*records) == {"mine": expected, **free}, mounted
        process.kill()
        process.wait()
    assert holders(*records) == {"mine": set(), **free}
    process = in_a_namespace(sleeper, f"cd /; mount --bind {tmp_path / 'builds'} {point}")
    assert holders(*records) == {"mine": set(), **free, "renamed": {Holder.MOUNT}}
    process.kill()
    process.wait()
    # But who works in it by that mount uses it.
    process = in_a_namespace(sleeper, f"mount --bind {mine / '_work'} {point}; cd {point}/_andon/dead")
    assert holders(*records)["dead"] == {Holder.FILE}


IN_ANOTHER_ROOT = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
new, bound, cwd, detach = (word.encode() for word in sys.argv[1:])
def do(name, *words):
    if getattr(libc, name)(*words):
        raise OSError(ctypes.get_errno(), name)
do("unshare", 0x00020000)
do("mount", b"none", b"/", None, 0x4000 | (1 << 18), None)
do("mount", b"tmpfs", new, b"tmpfs", 0, None)
os.mkdir(new + b"/old"); os.mkdir(new + b"/build")
do("mount", bound, new + b"/build", None, 4096, None)
do("pivot_root", new, new + b"/old")
os.chdir(cwd)
do("umount2", b"/old", 2)
if detach:
    do("umount2", b"/build", 2)
print(flush=True)
sys.stdin.read()
"""


@as_root
def test_a_container_with_another_root_is_seen(make_record, sleeper, tmp_path):
    record, other = make_record("it"), make_record("other")
    new = tmp_path / "new"
    new.mkdir()
    (Path(record.path) / "deep").mkdir()
    cases = [
        (record.path, "/build/deep", "", {Holder.MOUNT, Holder.FILE}),
        # Mounted from further up: the mount shows nothing of it alone, a process in it does.
        (str(Path(record.path).parent), "/build/it/deep", "", {Holder.FILE}),
        (str(Path(record.path).parent), "/build", "", set()),
        # With its mount taken away under it: no path leads there any more.
        (record.path, "/build/deep", "detach", {Holder.FILE}),
    ]
    for bound, cwd, detach, expected in cases:
        process = sleeper(sys.executable, "-c", IN_ANOTHER_ROOT, new, bound, cwd, detach, stdin=-1, stdout=-1)
        assert process.stdout.readline() == b"\n"
        assert holders(record, other) == {"it": expected, "other": set()}, (bound, cwd, detach)
        process.kill()
        process.wait()
    assert holders(record) == {"it": set()}


@as_root
def test_what_is_mounted_in_it_is_seen_in_every_namespace(make_record, sleeper, tmp_path):
    inside, over, here = (make_record(name) for name in ("inside", "over", "here"))
    for record in (inside, here):
        (Path(record.path) / "point").mkdir()
    in_a_namespace(sleeper, f"mount -t tmpfs tmpfs {inside.path}/point; cd /")
    in_a_namespace(sleeper, f"mount -t tmpfs tmpfs {over.path}; cd /")
    subprocess.run(["mount", "--bind", tmp_path, f"{here.path}/point"], check=True)
    try:
        found = holders(inside, over, here)
    finally:
        subprocess.run(["umount", f"{here.path}/point"], check=True)
    assert found == {"inside": {Holder.MOUNT}, "over": {Holder.MOUNT}, "here": {Holder.MOUNT}}
    assert holders(here) == {"here": set()}


@as_root
def test_a_process_in_the_jobs_cgroup_holds(make_record, sleeper, tmp_path):
    base = cgroup_base(Root(path=tmp_path))
    if base is None:
        pytest.skip("kernel: no cgroup version 2 here")
    group = base / "job"
    try:
        group.mkdir(parents=True)
    except OSError as error:
        pytest.skip(f"kernel: no cgroup can be made ({error})")
    left, job = sleeper(), sleeper()
    (group / "cgroup.procs").write_text(str(left.pid))
    record = make_record("one", pid=job.pid, cgroup=str(group))
    job.kill()
    job.wait()
    assert holders(record) == {"one": {Holder.CGROUP}}
    left.kill()
    left.wait()
    assert holders(record) == {"one": set()}
    group.rmdir()
    base.rmdir()
    assert holders(record) == {"one": set()}


def test_another_programs_lock_holds(make_record, lease_place, sleeper):
    table = LeaseTable.open(lease_place, boot_id(), logger("test"), spares=1)
    table.take(make_record("one"))
    path = lease_place.leases / "one"
    assert holders(*table.records(), lock_files=table.lock_files()) == {"one": set()}
    process = sleeper("flock", "--shared", path, "sh", "-c", "echo; read x", stdin=-1, stdout=-1)
    assert process.stdout.readline() == b"\n"
    found = asyncio.run(Evidence(SystemClock(), boot_id()).holds(table.records(), table.lock_files()))
    assert [(hold.by, hold.pid) for hold in found["one"]] == [(Holder.LOCK, process.pid)]
    table.close()


class Hurrying(SystemClock):
    """Every look at it is a minute later."""

    def __init__(self) -> None:
        self._minutes = 0

    def monotonic(self) -> float:
        self._minutes += 1
        return 60.0 * self._minutes


def test_what_cannot_be_told_is_held(make_record, sleeper, tmp_path):
    record = make_record("one")
    found = asyncio.run(Evidence(Hurrying(), boot_id()).holds([record]))["one"]
    assert [hold.by for hold in found] == [Holder.UNKNOWN] and "no time to look at every process" in found[0].text
    Path(record.path).rename(tmp_path / "aside")
    assert holders(record) == {"one": set()}
    Path(record.path).mkdir()
    assert holders(record) == {"one": {Holder.UNKNOWN}}
    # Its directory was moved, and its job still says by its environment that it lives.
    sleeper(env={"RUNNER_TRACKING_ID": "github_one"})
    assert holders(record) == {"one": {Holder.UNKNOWN, Holder.PROCESS}}


def test_a_look_that_hangs_stops_nobody(make_record):
    record = make_record("one")

    async def both() -> list[set[Holder]]:
        evidence = Evidence(SystemClock(), boot_id(), limit_s=0.05)
        go_on = asyncio.get_running_loop().create_future()
        evidence._running = go_on
        hanging = (await evidence.holds([record]))["one"]
        go_on.set_result({})
        evidence._limit_s = 5.0
        return [{hold.by for hold in found} for found in (hanging, (await evidence.holds([record]))["one"])]

    assert asyncio.run(both()) == [{Holder.UNKNOWN}, set()]


def test_which_strangers_matter(make_record):
    record = make_record("one", pid=os.getpid())
    process = record.process
    base = Stranger(pid=1, start=process.start + 5, uid=0, leader_uid=0, near=True)
    record = msgspec.structs.replace(record, process=msgspec.structs.replace(process, uid=1000))
    cases = [
        ("a service of the system", {}, False),
        ("one that was there before the job", {"uid": 1000, "start": process.start - 1}, False),
        ("the job's user, hidden", {"uid": 1000}, True),
        ("sudo in the runner's session", {"leader_uid": 1000}, True),
        ("sudo, and the runner is gone", {"leader_uid": None}, True),
        ("a daemon of another service", {"leader_uid": None, "near": False}, False),
    ]
    for name, fields, expected in cases:
        assert matters(msgspec.structs.replace(base, **fields), record) is expected, name
    without = msgspec.structs.replace(record, process=None)
    assert not matters(msgspec.structs.replace(base, uid=1000), without)


@as_root
def test_without_root_what_a_step_left_behind_by_sudo_is_not_called_free(make_record, sleeper, tmp_path, until):
    """A look by another user: his processes are read, root's are not, and root's in a session of his count."""
    program = (
        "import asyncio, os, sys, msgspec; from andon.agent.leases.evidence import Evidence; "
        "from andon.model.workspaces import LeaseRecord; from andon.runtime.clock import SystemClock; "
        "from andon.agent.process_identity import boot_id; "
        "record = msgspec.json.decode(sys.argv[1], type=LeaseRecord); evidence = Evidence(SystemClock(), boot_id()); "
        # Once before, for what is only imported when it is needed.
        "asyncio.run(evidence.holds([record])); os.setgid(1000); os.setuid(1000); "
        "found = asyncio.run(evidence.holds([record])); "
        "print(*(f'{hold.by.value}:{hold.pid}' for hold in found[record.id]))"
    )
    job = sleeper(user=1000)
    record = make_record("one", pid=job.pid)
    record = msgspec.structs.replace(record, process=msgspec.structs.replace(record.process, uid=1000))
    for folder in (tmp_path, *tmp_path.parents):
        if not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
    job.kill()
    job.wait()

    def look() -> dict[str, str]:
        text = msgspec.json.encode(record).decode()
        command = [sys.executable, "-c", program, text]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return dict(hold.split(":") for hold in done.stdout.split())

    # Other tests have processes on this machine too, of which nothing is said here.
    assert not look().keys() - {"unknown"}
    # A service of the system that began meanwhile.
    service = sleeper(cwd="/", start_new_session=True)
    assert look().get("unknown") != str(service.pid)
    left_by_sudo = "sleep 1000 & exec setpriv --reuid=1000 sh -c 'echo $0; read x' $!"
    leader = sleeper("sh", "-c", left_by_sudo, stdin=-1, stdout=-1, start_new_session=True)
    left = leader.stdout.readline().decode().strip()
    assert "unknown" in look()
    os.killpg(leader.pid, signal.SIGKILL)
    leader.wait()
    until(lambda: look().get("unknown") != left, "root's process is gone")
    point = tmp_path / "point"
    point.mkdir()
    # In a session of its own, as containers are: the leader of that of these tests may be gone.
    container = in_a_namespace(sleeper, f"mount --bind {record.path} {point}; cd /", start_new_session=True)
    # Mounts need no right, so that a container of root's is seen by anybody.
    assert "mount" in look() and look().get("unknown") != str(container.pid)
    container.kill()
    container.wait()
    hidden = sleeper(
        sys.executable,
        "-c",
        "import ctypes, os, sys; os.setuid(1000); ctypes.CDLL(None).prctl(4, 0); print(flush=True); sys.stdin.read()",
        stdin=-1,
        stdout=-1,
    )
    assert hidden.stdout.readline() == b"\n"
    assert "unknown" in look()


def test_a_look_at_many_processes_and_leases_is_quick(make_record, sleeper):
    folders = []
    for number in range(20):
        record = make_record(f"lease-{number}")
        folders.append(Folder(id=record.id, path=record.path, tracking=record.job.tracking))
    for _ in range(100):
        sleeper()
    costs: list[float] = []
    for _ in range(5):
        began = time.thread_time()
        assert find_uses(folders).holds == {}
        costs.append(time.thread_time() - began)
    assert sorted(costs)[2] <= 0.1, costs


def test_btrfs_and_stacked_mounts_are_read_by_the_mounts_device():
    text = (
        "29 1 0:33 /@ / rw - btrfs /dev/a rw\n"
        "30 29 0:33 /@srv /srv rw shared:1 master:2 - btrfs /dev/a rw\n"
        "31 29 0:33 /@srv/runs/7/target /mnt\\040a rw - btrfs /dev/a rw\n"
        "32 29 0:99 /runs/7 /other rw - ext4 /dev/b rw\n"
        "33 30 0:44 / /srv/runs/7/tmp rw - tmpfs tmpfs rw\n"
        "34 29 0:33 /@srv/runs/77 /seven rw - btrfs /dev/a rw\n"
        "nonsense\n\n35 x 0:1 / / rw -\n"
    )
    found = sights(Location(device="0:33", inside="/@srv/runs/7"), parse_mounts(text))
    assert found.paths == ("/srv/runs/7", "/mnt a") and found.mounts == ("/mnt a", "/srv/runs/7/tmp")
