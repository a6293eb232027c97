# ruff: noqa: PTH103, PTH116, PTH119, PTH123
"""Jobs: eight at a time take a workspace each and work in it; half of them are ended by SIGKILL.

    holders_program.py FOLDER ROUNDS SEED families|alone

Of `families` some leave a child behind that works on, in the workspace or in a mount of it. Each says so when its
workspace goes while it lives. Prints a line for each that began; ends when nobody is left.
"""

import ctypes
import json
import os
import random
import select
import signal
import socket
import sys

FOLDER, ROUNDS, SEED = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
FAMILIES = sys.argv[4] == "families"
LIBC = ctypes.CDLL(None, use_errno=True)
AT_ONCE = 8
PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE = 0x00020000, 4096, 0x4000, 1 << 18


def start_of_self():
    with open("/proc/self/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[19])


def begin():
    """The workspace that the agent gives; asks until one answers."""
    while True:
        with socket.socket(socket.AF_UNIX) as door:
            try:
                # By way of a descriptor: a socket's path must be short.
                folder = os.open(FOLDER, os.O_PATH)
                try:
                    door.connect(f"/proc/self/fd/{folder}/agent.sock")
                finally:
                    os.close(folder)
                line = door.makefile("rb").readline()
            except OSError:
                line = b""
        if line.endswith(b"\n"):
            return line.decode().strip()
        select.select([], [], [], 0.01)


def own(path):
    with open(f"{path}/owners", "a") as file:
        file.write(f"{os.getpid()} {start_of_self()}\n")


def work(path, inode, steps):
    for _ in range(steps):
        try:
            there = os.stat(path).st_ino == inode
        except FileNotFoundError:
            there = False
        if not there:
            with open(f"{FOLDER}/events", "a") as file:
                file.write(json.dumps({"what": "hit", "id": os.path.basename(path), "by": "its job saw it"}) + "\n")
            return
        with open(f"{path}/owners", "r+b") as file:
            file.read(1)
        select.select([], [], [], 0.003)


def bind(path):
    if LIBC.unshare(CLONE_NEWNS) or LIBC.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None):
        return
    point = f"{FOLDER}/point".encode()
    if LIBC.mount(path.encode(), point, None, MS_BIND, None) == 0:
        os.chdir("/")


def hold(chance, begun):
    path = begin()
    inode = os.stat(path).st_ino
    own(path)
    # A child works in it from its first moment: of one that does not yet, only the environment of a
    # real job would tell, and that is another test's.
    os.chdir(path)
    behind = FAMILIES and chance.random() < 0.5
    mounted = os.getuid() == 0 and chance.random() < 0.5
    if behind:
        ready, say_ready = os.pipe()
        job = os.getpid()
        if os.fork() == 0:
            own(path)
            if mounted:
                bind(path)
            os.write(say_ready, b"x")
            os.close(begun)
            while os.getppid() == job:
                work(path, inode, 1)
            work(path, inode, chance.randrange(10, 80))
            os._exit(0)
        os.close(say_ready)
        os.read(ready, 1)
    os.write(begun, b"x")
    work(path, inode, chance.randrange(1, 60))
    os._exit(0)


LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
os.makedirs(f"{FOLDER}/point", exist_ok=True)
chance = random.Random(SEED)
holders = {}
started = 0
begun_r, begun_w = os.pipe()
while started < ROUNDS or holders:
    while started < ROUNDS and len(holders) < AT_ONCE:
        seed = chance.random()
        pid = os.fork()
        if pid == 0:
            os.close(begun_r)
            hold(random.Random(seed), begun_w)
        holders[pid] = True
        started += 1
    ready, _, _ = select.select([begun_r], [], [], 0.005)
    if ready:
        for _ in os.read(begun_r, 4096):
            print("begun", flush=True)
            if holders and chance.random() < 0.5:
                os.kill(chance.choice(sorted(holders)), signal.SIGKILL)
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            break
        if pid == 0:
            break
        holders.pop(pid, None)
while True:
    try:
        os.waitpid(-1, 0)
    except ChildProcessError:
        break
