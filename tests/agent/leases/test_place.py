"""Where leases may lie, and where a root may not."""

import os
from pathlib import Path

import pytest

from andon.agent.leases.mounts import Mount
from andon.agent.leases.place import lease_folder, open_place, refuse_network_filesystem
from andon.runtime.errors import Refused


def test_leases_lie_on_tmpfs_or_nowhere(tmp_path, tmpfs):
    with pytest.raises(Refused, match="leases must lie on tmpfs, and this is"):
        open_place(tmp_path / "place")
    assert not (tmp_path / "place").exists()
    open_place(tmp_path / "place", any_filesystem=True)
    place = open_place(tmpfs / "place")
    assert {each.stat().st_mode & 0o777 for each in (place.path, place.leases, place.spare)} == {0o700}
    place.leases.chmod(0o755)
    assert open_place(tmpfs / "place") == place and place.leases.stat().st_mode & 0o777 == 0o700


def test_a_place_that_another_user_could_replace_is_refused(tmpfs):
    (tmpfs / "link").symlink_to(tmpfs)
    with pytest.raises(Refused, match="another user may replace"):
        open_place(tmpfs / "link" / "place")
    (tmpfs / "open").mkdir()
    (tmpfs / "open").chmod(0o777)
    with pytest.raises(Refused, match="another user may replace"):
        open_place(tmpfs / "open" / "place")
    (tmpfs / "file").write_text("")
    with pytest.raises(Refused, match="cannot be made"):
        open_place(tmpfs / "file" / "place" / "deep")
    with pytest.raises(Refused, match="cannot be made"):
        open_place(tmpfs / "file")


@pytest.mark.skipif(os.getuid() != 0, reason="kernel: only root gives files away")
def test_a_place_of_another_user_is_refused(tmpfs):
    (tmpfs / "place").mkdir()
    os.chown(tmpfs / "place", 1, 1)
    with pytest.raises(Refused, match="must be a folder of the agent's own user"):
        open_place(tmpfs / "place")


def test_each_root_has_a_place_of_its_own_and_always_the_same():
    one, two = (lease_folder(Path(root), environ={}, uid=0) for root in ("/srv/a", "/srv/b"))
    assert one != two and one == lease_folder(Path("/srv/a"), environ={"XDG_RUNTIME_DIR": "/run/user/0"}, uid=0)
    assert one.parent in (Path("/run/andon"), Path("/dev/shm/andon"))
    mine = lease_folder(Path("/srv/a"), environ={"XDG_RUNTIME_DIR": "/run/user/7"}, uid=7)
    assert mine == Path("/run/user/7/andon") / one.name
    assert lease_folder(Path("/srv/a"), environ={}, uid=7) == Path("/dev/shm/andon-7") / one.name


def test_a_root_on_a_network_filesystem_is_refused_in_one_sentence(tmp_path):
    for kind in ("nfs", "nfs4", "cifs", "fuse.sshfs"):
        mount = Mount(number=1, device="0:1", root="/", point="/mnt", kind=kind)
        with pytest.raises(Refused, match=f"lies on {kind} .*local disk"):
            refuse_network_filesystem(tmp_path, mount)
    refuse_network_filesystem(tmp_path)
    refuse_network_filesystem(tmp_path / "not" / "there" / "yet")
