# ruff: noqa: PTH104,PTH108,PTH115,PTH116,PTH123,PTH208
"""A guard of somebody else: nothing of ours is imported, only the protocol as it is written down.

    guard_program.py FOLDER PLACE protocol|mtime|pidfile|careless|sharer

`mtime` and `pidfile` are the two usual rules; `careless` takes the lock and looks at nothing else;
`sharer` removes nothing, and holds every lease shared for a moment, again and again.
"""

import fcntl
import hashlib
import json
import os
import select
import sys
import time

FOLDER, PLACE, RULE = sys.argv[1:]
RUNS, TRASH, LEASES = f"{FOLDER}/runs", f"{FOLDER}/trash", f"{PLACE}/leases"


def began(pid):
    """When a living process began, in ticks; None for one that does not live."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def works(pid, start):
    """A process that is ending lets go of its directory first, and of its life a moment later."""
    try:
        os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return False
    return began(pid) == start


def say(what, id):
    with open(f"{FOLDER}/events", "a") as file:
        file.write(json.dumps({"what": what, "id": id, "by": RULE}) + "\n")


def take_away(id):
    try:
        os.rename(f"{RUNS}/{id}", f"{TRASH}/{id}")
    except FileNotFoundError:
        return
    try:
        with open(f"{TRASH}/{id}/owners") as file:
            owners = [line.split() for line in file]
    except FileNotFoundError:
        owners = []
    say("hit" if any(works(int(pid), int(start)) for pid, start in owners) else "removed", id)


def newest(content):
    halves = []
    for half in (content[:4096], content[4096:]):
        head, _, rest = half.partition(b"\n")
        words = head.split()
        if len(words) == 5 and words[:2] == [b"andon-lease", b"1"]:
            data = rest[: int(words[3], 16)]
            if hashlib.sha256(words[2] + b" " + data).hexdigest().encode() == words[4]:
                halves.append((int(words[2], 16), data))
    return json.loads(max(halves)[1]) if halves else None


def uses(pid, id, tracking, seen):
    base = f"/proc/{pid}"
    # A thread of the kernel has no program, and raises here.
    os.readlink(f"{base}/exe")
    for link in ("cwd", "root", "exe", *(f"fd/{name}" for name in os.listdir(f"{base}/fd"))):
        try:
            if id in os.readlink(f"{base}/{link}"):
                return True
        except OSError:
            continue
    namespace = os.readlink(f"{base}/ns/mnt")
    if namespace not in seen:
        seen.add(namespace)
        with open(f"{base}/mountinfo") as file:
            if id in file.read():
                return True
    with open(f"{base}/maps") as file:
        if id in file.read():
            return True
    with open(f"{base}/environ", "rb") as file:
        return bool(tracking) and f"RUNNER_TRACKING_ID={tracking}".encode() in file.read().split(b"\0")


def in_use(id, tracking):
    seen = set()
    # Ids are unique, so a name anywhere in a path is enough here; they also name the part of a container's mount.
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if uses(pid, id, tracking, seen):
                return True
        except OSError:
            continue
    return False


def by_protocol(id):
    try:
        file = os.open(f"{LEASES}/{id}", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.stat(f"{LEASES}/{id}").st_ino != os.fstat(file).st_ino:
            return
        if RULE == "protocol":
            record = newest(os.pread(file, 8192, 0))
            if record is None or record["state"] == "fresh":
                return
            process = record["process"]
            if process and record["boot_id"] == BOOT and began(process["pid"]) == process["start"]:
                return
            if in_use(id, record["job"].get("tracking")):
                return
        take_away(id)
        os.unlink(f"{LEASES}/{id}")
    except (BlockingIOError, FileNotFoundError):
        return
    finally:
        os.close(file)


def by_sharing(id):
    with open(f"{LEASES}/{id}", "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        select.select([], [], [], 0.001)


def by_mtime(id):
    if time.time() - os.stat(f"{RUNS}/{id}").st_mtime > 0.05:
        take_away(id)


def by_pid_file(id):
    with open(f"{RUNS}/{id}/owners") as file:
        first = file.readline().split()
    if first:
        try:
            os.kill(int(first[0]), 0)
        except ProcessLookupError:
            take_away(id)


with open("/proc/sys/kernel/random/boot_id") as file:
    BOOT = file.read().strip()
passes = 0
while True:
    rule, names = {
        "mtime": (by_mtime, RUNS),
        "pidfile": (by_pid_file, RUNS),
        "sharer": (by_sharing, LEASES),
    }.get(RULE, (by_protocol, LEASES))
    for name in os.listdir(names):
        try:
            rule(name)
        except FileNotFoundError:
            pass
    passes += 1
    with open(f"{FOLDER}/passes-{os.getpid()}", "w") as file:
        file.write(str(passes))
    select.select([], [], [], 0.002)
