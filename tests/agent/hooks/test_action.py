"""The Action that exports a workspace's paths as they are where its step runs (R92)."""

import os
import subprocess
from pathlib import Path

import pytest

from andon.sim.runner.file_commands import parse_pairs

SCRIPT = Path(__file__).parents[3] / "actions/workspace/export.sh"
ID = "11-2-build-0123456789"


def run(folder: Path, *under: str, **env: str) -> tuple[dict[str, str], list[str]]:
    for name in ("env", "output"):
        (folder / name).write_bytes(b"")
    whole = {"PATH": os.environ["PATH"], "GITHUB_ENV": f"{folder}/env", "GITHUB_OUTPUT": f"{folder}/output", **env}
    ran = subprocess.run([*under, "sh", str(SCRIPT)], env=whole, stdout=subprocess.PIPE, check=True, text=True)
    return parse_pairs((folder / "env").read_text(), command="env"), ran.stdout.splitlines()


def test_on_the_host_paths_are_the_hosts(tmp_path):
    made = tmp_path / "runs" / ID
    made.mkdir(parents=True)
    table = "CARGO_TARGET_DIR=target\nTMPDIR=tmp"
    told = {"ANDON_WORKSPACE_ID": ID, "ANDON_WORKSPACE": str(made), "RUNNER_TEMP": str(tmp_path / "_work/_temp")}
    env, _ = run(tmp_path, **told, ANDON_WORKSPACE_EXPORT=table)
    assert env == {"CARGO_TARGET_DIR": f"{made}/target", "TMPDIR": f"{made}/tmp"} and (made / "tmp").is_dir()
    assert (tmp_path / "output").read_text() == f"path={made}\n"
    env, _ = run(tmp_path, **told, ANDON_WORKSPACE_EXPORT=table, ANDON_ACTION_EXPORT="GOCACHE=go/cache")
    assert env == {"GOCACHE": f"{made}/go/cache"}


def test_in_a_container_paths_are_those_of_its_mount(tmp_path):
    """A mount namespace in place of an engine: _work is mounted as /__w, the host's path is not there."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        pytest.skip("kernel: mount namespaces need root")
    work = tmp_path / "_work"
    (work / "_andon" / ID).mkdir(parents=True)
    # / of the namespace is shared with the machine, so /__w is made on a layer of its own.
    inside = (
        f"mkdir -p {tmp_path}/root && mount --rbind / {tmp_path}/root && mount -t tmpfs none {tmp_path}/root/mnt && "
        f"mkdir {tmp_path}/root/mnt/w && mount --bind {work} {tmp_path}/root/mnt/w && "
        f"mount -t tmpfs none {tmp_path}/root{work} && "
        f'exec chroot {tmp_path}/root "$@"'
    )
    under = ("unshare", "-m", "--propagation", "private", "sh", "-c", inside, "x")
    told = {"ANDON_WORKSPACE_ID": ID, "ANDON_WORKSPACE": f"{work}/_andon/{ID}", "RUNNER_TEMP": "/mnt/w/_temp"}
    env, said = run(tmp_path, *under, **told, ANDON_WORKSPACE_EXPORT="TMPDIR=tmp")
    assert env == {"TMPDIR": f"/mnt/w/_andon/{ID}/tmp"}, said
    assert (work / "_andon" / ID / "tmp").is_dir()


@pytest.mark.parametrize(
    "table", ["A=/etc", "A=../x", "A=x/../../y", "1A=x", "GITHUB_PATH=x", "A B=x", "nonsense", "A=a b"]
)
def test_a_table_that_leads_astray_exports_nothing(tmp_path, table):
    (tmp_path / ID).mkdir()
    told = {"ANDON_WORKSPACE_ID": ID, "ANDON_WORKSPACE": str(tmp_path / ID)}
    env, said = run(tmp_path, **told, ANDON_WORKSPACE_EXPORT=table)
    assert env == {} and "left out" in said[0] and not list((tmp_path / ID).iterdir())


@pytest.mark.parametrize("workspace", ["", "../../etc", "gone-from-here"])
def test_no_workspace_fails_no_job(tmp_path, workspace):
    env, said = run(tmp_path, ANDON_WORKSPACE_ID=workspace, ANDON_WORKSPACE="/no/such", ANDON_WORKSPACE_EXPORT="A=x")
    assert env == {} and "nothing is exported" in said[0]
