"""What others left in a job's checkout becomes the job's user's, and nothing else in the world does (R57, P6)."""

import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from andon.agent.leases.mounts import parse_mounts, read_mountinfo
from andon.agent.trees.heal import Healed, heal
from andon.agent.trees.system_calls import rename_to_new
from tests.support.as_nobody import NOBODY, as_nobody

OWNER = (NOBODY, NOBODY)
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="NOT TESTED: healing what another user left needs root; run these as root"
)


class Tree:
    """A work folder with one repository's folder, a trash, and something outside that is nobody's business."""

    def __init__(self, base: Path) -> None:
        self.base, self.top, self.trash, self.outside = base, base / "app", base / "trash", base / "outside"
        self.checkout = self.top / "app"
        for folder in (self.checkout, self.trash, self.outside):
            folder.mkdir(parents=True)
        self.trash.chmod(0o700)
        self.secret = self.outside / "secret"
        self.secret.write_text("secret")
        for each in (self.top, self.checkout):
            os.chown(each, *OWNER)

    def put_aside(self, folder: int, name: str) -> None:
        bin_ = os.open(self.trash, os.O_RDONLY)
        try:
            rename_to_new(folder, name, bin_, str(len(list(self.trash.iterdir()))))
        finally:
            os.close(bin_)

    def heal(self, **asked: object) -> Healed:
        tree = os.open(self.top, os.O_RDONLY)
        try:
            return heal(tree, OWNER, **{"put_aside": self.put_aside, "keep": "app", **asked})
        finally:
            os.close(tree)

    def owned(self, path: Path) -> bool:
        found = path.lstat()
        return (found.st_uid, found.st_gid) == OWNER


@pytest.fixture
def tree() -> Iterator[Tree]:
    # Beside the tests' own folders: their cleaning bears neither such depths nor mounts.
    with TemporaryDirectory(prefix="andon-heal-", ignore_cleanup_errors=True) as folder:
        one = Tree(Path(folder))
        try:
            yield one
        finally:
            for mount in parse_mounts(read_mountinfo("self")):
                if mount.point.startswith(f"{folder}/"):
                    subprocess.run(["umount", "-l", mount.point], check=True)
        for found in [one.secret.stat(), one.outside.stat()]:
            assert found.st_uid == 0, "nothing outside changed hands"
        assert one.secret.read_text() == "secret"
        subprocess.run(["rm", "-rf", "--one-file-system", folder], check=True)


def remove_as_user(folder: Path) -> None:
    """As actions/checkout does it: everything in the folder, as the job's user."""
    command = ["find", ".", "-mindepth", "1", "-maxdepth", "1", "-exec", "rm", "-rf", "--", "{}", "+"]
    as_nobody(folder, lambda: subprocess.run(command, check=True, stderr=subprocess.DEVNULL))


def test_root_s_files_and_folders_become_the_user_s_and_its_own_stay_as_they_are(tree: Tree) -> None:
    (tree.checkout / "mine").touch(mode=0o640)
    os.chown(tree.checkout / "mine", NOBODY, 1)
    before = (tree.checkout / "mine").stat()
    (tree.checkout / "target" / "deep").mkdir(parents=True)
    (tree.checkout / "target" / "deep" / "a").write_text("kept")
    (tree.checkout / "target" / "link").symlink_to(tree.secret)
    with pytest.raises(AssertionError):
        as_nobody(tree.checkout, lambda: os.unlink("target/deep/a"))  # noqa: PTH108
    done = tree.heal()
    assert (done.given, done.put_aside, done.left, done.unseen) == (4, 0, (), 0)
    assert done.examples == ("app/target/link", "app/target", "app/target/deep/a")
    assert all(tree.owned(each) for each in (tree.checkout / "target").rglob("*"))
    assert (tree.checkout / "target" / "deep" / "a").read_text() == "kept"
    after = (tree.checkout / "mine").stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert tree.heal().given == 0, "and then there is nothing left to do"
    remove_as_user(tree.checkout)
    assert list(tree.checkout.iterdir()) == []


def test_closed_folders_are_opened_for_their_user(tree: Tree) -> None:
    for name, mode in (("root-s", 0o555), ("own", 0o000)):
        (tree.checkout / name / "below").mkdir(parents=True)
        (tree.checkout / name / "below").chmod(mode)
        (tree.checkout / name).chmod(mode)
    for each in ("own", "own/below"):
        os.chown(tree.checkout / each, *OWNER)
    assert tree.heal().given == 4
    assert stat.S_IMODE((tree.checkout / "own").stat().st_mode) == 0o700
    assert stat.S_IMODE((tree.checkout / "root-s").stat().st_mode) == 0o755
    remove_as_user(tree.checkout)
    assert list(tree.checkout.iterdir()) == []


def test_names_of_any_bytes(tree: Tree) -> None:
    folder = os.fsencode(tree.checkout)
    for name in (b"new\nline", b"\xff\xfe", b" ", b"-rf", "ä".encode(), b"x" * 255):
        os.mkdir(folder + b"/" + name)  # noqa: PTH102
        with open(folder + b"/" + name + b"/" + name, "wb"):  # noqa: PTH123
            pass
    assert tree.heal().given == 12
    remove_as_user(tree.checkout)
    assert list(tree.checkout.iterdir()) == []


def test_a_link_is_not_followed(tree: Tree) -> None:
    (tree.checkout / "to-folder").symlink_to(tree.outside)
    (tree.checkout / "to-file").symlink_to(tree.secret)
    tree.heal()
    assert tree.owned(tree.checkout / "to-folder") and tree.owned(tree.checkout / "to-file")
    # The fixture looks at what they lead to.


def test_a_folder_that_becomes_a_link_meanwhile_is_not_followed(tree: Tree) -> None:
    (tree.checkout / "x" / "deep").mkdir(parents=True)
    (tree.outside / "deep").mkdir()
    looks = [0]

    def go_on() -> bool:
        looks[0] += 1
        # The top, `app` and `x` were looked at; `x/deep` is next.
        if looks[0] == 4:
            (tree.checkout / "x").rename(tree.base / "moved")
            (tree.checkout / "x").symlink_to("../../outside")
        return True

    done = tree.heal(go_on=go_on)
    assert [each.path for each in done.left] == ["app/x/deep"] and (tree.outside / "deep").stat().st_uid == 0


def test_a_hard_link_is_put_aside_and_its_other_name_stays_root_s(tree: Tree) -> None:
    os.link(tree.secret, tree.checkout / "mine-now")
    done = tree.heal()
    assert (done.given, done.put_aside, done.examples_aside) == (0, 1, ("app/mine-now",))
    assert not (tree.checkout / "mine-now").exists() and tree.secret.stat().st_nlink == 2


@pytest.mark.parametrize("what", ["private", "device", "fifo"])
def test_what_the_user_could_not_have_had_is_not_given(tree: Tree, what: str) -> None:
    path = tree.checkout / "it"
    if what == "private":
        path.touch(mode=0o640)
    elif what == "fifo":
        os.mkfifo(path)
    else:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    done = tree.heal()
    assert (done.given, done.put_aside) == (0, 1) and not os.path.lexists(path)
    assert next(tree.trash.iterdir()).stat().st_uid == 0


def test_a_folder_of_root_s_that_was_closed_is_put_aside_whole(tree: Tree) -> None:
    """The user may have moved it here in a folder of its own."""
    for name in ("brought/closed", ".git/closed", "open"):
        (tree.checkout / name).mkdir(parents=True)
        (tree.checkout / name / "readable").touch()
    (tree.checkout / "brought" / "closed").chmod(0o750)
    (tree.checkout / ".git" / "closed").chmod(0o700)
    os.chown(tree.checkout / "brought", *OWNER)
    done = tree.heal()
    assert set(done.examples_aside) == {"app/brought/closed", "app/.git"} and done.left == ()
    assert sorted(each.name for each in tree.checkout.rglob("*")) == ["brought", "open", "readable"]


def test_a_checkout_that_is_closed_is_made_anew(tree: Tree) -> None:
    (tree.checkout / "file").touch()
    tree.checkout.chmod(0o700)
    os.chown(tree.checkout, 0, 0)
    assert tree.heal().put_aside == 1
    assert tree.owned(tree.checkout) and list(tree.checkout.iterdir()) == []


@pytest.mark.parametrize(("before", "meanwhile"), [(0o777, 0o755), (0o700, 0o700), (0o570, 0o750)])
def test_while_files_are_given_a_folder_is_open_to_no_more_than_before(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, before: int, meanwhile: int
) -> None:
    """And one that an agent was ended over is given warm the next time, where it was open."""
    (tree.checkout / "file").touch()
    tree.checkout.chmod(before)

    def ends(*_: object) -> None:
        found = tree.checkout.stat()
        assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (0, meanwhile)
        raise OSError(5, "seen")

    monkeypatch.setattr("andon.agent.trees.heal.give_open", ends)
    done = tree.heal()
    assert "seen" in done.left[0].reason
    assert tree.owned(tree.checkout) and stat.S_IMODE(tree.checkout.stat().st_mode) == before | 0o700


@pytest.mark.parametrize("mode", [0o755, 0o455])
def test_a_program_of_root_s_loses_its_setuid(tree: Tree, mode: int) -> None:
    program = tree.checkout / "sh"
    program.touch()
    program.chmod(0o6000 | mode)
    assert tree.heal().given == 1
    assert tree.owned(program) and stat.S_IMODE(program.stat().st_mode) == 0o600 | mode


def test_of_a_repository_all_goes_where_a_part_has_to(tree: Tree) -> None:
    (tree.checkout / ".git" / "objects" / "ab").mkdir(parents=True)
    (tree.checkout / ".git" / "objects" / "ab" / "c").touch(mode=0o600)
    (tree.checkout / ".git" / "HEAD").touch()
    (tree.checkout / "source").touch()
    done = tree.heal()
    assert sorted(each.name for each in tree.checkout.iterdir()) == ["source"] and done.put_aside == 1
    assert done.left == ()


def mount(source: Path, point: Path) -> None:
    """Until the end of the test, wherever the mount is then."""
    if subprocess.run(["mount", "--bind", source, point], check=False).returncode:
        pytest.skip("NOT TESTED: nothing can be mounted here; run these where root may mount")


def test_a_mount_is_not_crossed(tree: Tree) -> None:
    folder, file = tree.checkout / "target", tree.checkout / "file"
    folder.mkdir()
    file.touch()
    mount(tree.outside, folder)
    mount(tree.secret, file)
    done = tree.heal()
    assert {(each.path, each.reason) for each in done.left} == {
        ("app/target", "Something is mounted there."),
        ("app/file", "Something is mounted there."),
    }


def test_a_folder_with_a_mount_in_it_is_not_put_aside(tree: Tree) -> None:
    inner = tree.checkout / ".git" / "inner"
    inner.mkdir(parents=True)
    (tree.checkout / ".git" / "private").touch(mode=0o600)
    mount(tree.outside, inner)
    done = tree.heal()
    assert (inner / "secret").exists()
    assert done.put_aside == 0 and any("mounted" in each.reason for each in done.left)


def after(looks: int) -> Callable[[], bool]:
    """Time for so many looks."""
    left = [looks]

    def go_on() -> bool:
        left[0] -= 1
        return left[0] >= 0

    return go_on


def test_when_time_is_up_what_was_not_looked_at_goes_aside_whole(tree: Tree) -> None:
    for name in ("one", "two"):
        (tree.checkout / name / "deep" / "deeper").mkdir(parents=True)
    (tree.top / "build").mkdir()
    done = tree.heal(go_on=after(4))
    # The top, `app`, `build` and one of the two were looked at; both have something below that was not.
    assert list(tree.checkout.iterdir()) == [] and (tree.top / "build").exists()
    assert (done.put_aside, done.unseen, done.left) == (2, 0, ())
    assert tree.owned(tree.checkout) and len(list(tree.trash.iterdir())) == 2


def test_a_clean_tree_that_is_too_large_keeps_its_warmth(tree: Tree) -> None:
    for name in ("one", "two"):
        (tree.checkout / name / "deep").mkdir(parents=True)
        for each in (name, f"{name}/deep"):
            os.chown(tree.checkout / each, *OWNER)
    done = tree.heal(go_on=after(3))
    assert (done.put_aside, done.given) == (0, 0) and done.unseen == 2
    assert len(list(tree.checkout.rglob("deep"))) == 2


def test_a_checkout_that_cannot_be_looked_through_is_made_anew(tree: Tree) -> None:
    for number in range(600):
        (tree.checkout / f"{number}").touch()
    inode = tree.checkout.stat().st_ino
    os.chown(tree.top, 0, 0)
    done = tree.heal(go_on=after(2))
    assert done.put_aside == 1 and tree.checkout.stat().st_ino != inode
    assert tree.owned(tree.checkout) and list(tree.checkout.iterdir()) == []
    assert stat.S_IMODE(tree.checkout.stat().st_mode) == 0o755


def test_without_a_trash_nothing_goes_and_it_is_said(tree: Tree) -> None:
    os.link(tree.secret, tree.checkout / "hard")
    (tree.checkout / "target").mkdir()
    done = tree.heal(put_aside=None, keep=None)
    assert done.given == 1 and [each.path for each in done.left] == ["app/hard"]


def test_where_it_is_forbidden_nothing_changes(tree: Tree) -> None:
    (tree.checkout / "target").mkdir()
    (tree.checkout / "file").touch()
    asked: list[int] = []
    done = tree.heal(forbidden=lambda: asked.append(1) or "A container works in it.")
    assert done.held == "A container works in it." and (done.given, asked) == (0, [1])
    assert not tree.owned(tree.checkout / "target") and not tree.owned(tree.checkout / "file")


def test_who_is_exchanging_names_meanwhile_gets_nothing(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at a file and its giving no name can be taken out, in a folder open to all neither."""
    (tree.checkout / "file").touch()
    tree.checkout.chmod(0o777)
    real = os.fstat
    tried: list[bool] = []

    def exchange() -> None:
        os.unlink("file")  # noqa: PTH108

    def fstat(file: int) -> os.stat_result:
        found = real(file)
        if stat.S_ISREG(found.st_mode):
            # What the job's user can do just now, with a descriptor that it had all the time.
            try:
                as_nobody(tree.checkout, exchange)
            except AssertionError:
                tried.append(False)
            else:
                tried.append(True)
        return found

    monkeypatch.setattr("andon.agent.trees.heal.os.fstat", fstat)
    tree.heal()
    assert tried == [False] and tree.owned(tree.checkout / "file")


def test_an_immutable_file_is_given(tree: Tree) -> None:
    path = tree.checkout / "fixed"
    path.touch()
    if subprocess.run(["chattr", "+i", path], check=False, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("NOT TESTED: this filesystem has no immutable files")
    done = tree.heal()
    subprocess.run(["chattr", "-i", path], check=True)
    assert tree.owned(path) and done.left == ()


def test_a_tree_deeper_than_any_path(tree: Tree) -> None:
    folder = os.open(tree.checkout, os.O_RDONLY)
    for _ in range(30):
        os.mkdir("d" * 200, dir_fd=folder)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(folder)
    done = tree.heal()
    assert list(tree.checkout.iterdir()) == [] and done.put_aside == 1


def test_capabilities_of_a_file_go(tree: Tree) -> None:
    path = tree.checkout / "ping"
    path.touch(mode=0o755)
    value = bytes.fromhex("0100000202000000000000000000000000000000")
    try:
        os.setxattr(path, "security.capability", value)
    except OSError:
        pytest.skip("NOT TESTED: this filesystem keeps no capabilities of files")
    tree.heal()
    assert tree.owned(path) and "security.capability" not in os.listxattr(path)
