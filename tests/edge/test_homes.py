import multiprocessing
import os
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hub.config import Settings
from hub.edge.homes import Homes
from hub.errors import Unavailable
from tests.edge.docker_fixtures import Yard


@pytest.fixture
def homes(tmp_path: Path) -> Homes:
    skeleton = tmp_path / "shipped" / "notebooks"
    (skeleton / "nightly" / ".ipynb_checkpoints").mkdir(parents=True)
    (skeleton / "nightly" / "a.ipynb").write_text("{}")
    (skeleton / "nightly" / ".ipynb_checkpoints" / "x").write_text("")
    (skeleton / "link").symlink_to("nightly")
    return Homes(Settings(data=tmp_path / "new" / "data"), skeleton)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_fresh_home_is_whole_and_the_students(homes: Homes):
    old = os.umask(0o077)
    try:
        home = homes.ensure("mina")
    finally:
        os.umask(old)
    inside = sorted(str(x.relative_to(home)) for x in home.rglob("*"))
    names = ("", "/link", "/nightly", "/nightly/a.ipynb")
    assert inside == [f"notebooks{x}" for x in names]
    for path in (home, *home.rglob("*")):
        assert (path.lstat().st_uid, path.lstat().st_gid) == (1000, 1000), path
    assert mode(home) == 0o700
    assert mode(home / "notebooks/nightly") == 0o755
    assert mode(home / "notebooks/nightly/a.ipynb") == 0o644
    assert (home / "notebooks/link").is_symlink()
    assert mode(homes.root) == 0o711
    assert [x.name for x in homes.root.iterdir() if x.name != ".lock"] == ["mina"]


def test_a_home_that_is_there_is_left_as_it_is(homes: Homes):
    home = homes.ensure("mina")
    note = home / "notebooks/nightly/a.ipynb"
    note.write_text("my work")
    os.chown(note, 4242, 4242)
    (home / "notebooks/link").unlink()
    assert homes.ensure("mina") == home
    assert note.read_text() == "my work"
    assert note.stat().st_uid == 4242
    assert not (home / "notebooks/link").exists()


def test_owner_and_mode_of_the_top_are_repaired_and_told(
    homes: Homes, caplog: pytest.LogCaptureFixture
):
    home = homes.ensure("mina")
    os.chown(home, 0, 0)
    home.chmod(0o755)
    homes.root.chmod(0o755)
    homes.ensure("mina")
    assert (home.stat().st_uid, home.stat().st_gid, mode(home)) == (1000, 1000, 0o700)
    assert mode(homes.root) == 0o711
    assert "belonged to 0:0" in caplog.text


def test_names_never_leave_the_folder(homes: Homes):
    names = ["../../etc", "a/b", ".lock", ".new-1", "민아", "A", "a", "x" * 300, "-rf", "\n"]
    made = [homes.ensure(x) for x in names]
    assert len(set(made)) == len(names)
    assert all(x.parent == homes.root for x in made)
    with pytest.raises(ValueError, match="empty"):
        homes.ensure("")


def test_root_follows_no_link(homes: Homes, tmp_path: Path):
    target = tmp_path / "secret"
    target.mkdir(mode=0o700)
    homes.ensure("first")
    (homes.root / "mina").symlink_to(target)
    with pytest.raises(Unavailable) as e:
        homes.ensure("mina")
    assert "not a folder" in e.value.detail
    assert target.stat().st_uid == 0


def _make(homes: Homes, gate: object) -> None:
    gate.wait()  # type: ignore[attr-defined]
    homes.ensure("mina")


def test_many_processes_make_one(homes: Homes):
    context = multiprocessing.get_context("fork")
    gate = context.Barrier(6)
    makers = [context.Process(target=_make, args=(homes, gate)) for _ in range(6)]
    for each in makers:
        each.start()
    for each in makers:
        each.join(30)
    assert [x.exitcode for x in makers] == [0] * 6
    assert (homes.root / "mina/notebooks/nightly/a.ipynb").exists()


def test_what_a_killed_maker_left_is_removed_and_never_a_home(homes: Homes):
    homes.ensure("first")
    left = homes.root / ".new-0123"
    (left / "notebooks").mkdir(parents=True)
    homes.ensure("second")
    assert not left.exists()


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[None]:
    place.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_leaves_no_half_home(homes: Homes):
    with small_disk(homes.data, "64k"):
        (homes.skeleton / "large").write_bytes(os.urandom(2**17))
        with pytest.raises(Unavailable) as e:
            homes.ensure("mina")
        assert (e.value.reason, e.value.status) == ("disk-full", 507)
        assert [x.name for x in homes.root.iterdir()] == [".lock"]
        assert homes.free_mib() == 0
        (homes.skeleton / "large").unlink()
        assert homes.ensure("mina").is_dir()


def test_free_space_before_anything_is_there(homes: Homes):
    assert homes.free_mib() > 0
    assert not homes.data.exists()


def test_a_course_among_the_shipped_notebooks_is_not_copied(homes: Homes):
    course = homes.skeleton / "torch-101"
    course.mkdir()
    (course / "course.toml").write_text("")
    (course / "a.ipynb").write_text("{}")
    home = homes.ensure("bo")
    assert not (home / "notebooks" / "torch-101").exists()
    assert (home / "notebooks" / "nightly" / "a.ipynb").exists()


def test_without_a_skeleton_a_home_is_empty(tmp_path: Path):
    homes = Homes(Settings(data=tmp_path / "data"), tmp_path / "nothing")
    assert list(homes.ensure("mina").iterdir()) == []


def test_somebody_who_is_not_root_gets_a_reason(homes: Homes):
    homes.data.mkdir(parents=True)

    def as_nobody() -> None:
        os.setuid(65534)
        try:
            homes.ensure("mina")
        except Unavailable as e:
            os._exit(7 if "Permission denied" in e.detail else 1)
        os._exit(0)

    for folder in homes.data.parents:
        if folder.is_relative_to(homes.data.parents[3]):
            folder.chmod(0o755)
    pid = os.fork()
    if pid == 0:
        as_nobody()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


@pytest.mark.docker
def test_the_student_in_the_image_works_in_it_and_sees_nobody_elses(yard: Yard, homes: Homes):
    mine, other = homes.ensure("mina"), homes.ensure("other")
    (other / "exam").write_text("secret")
    said = yard.run(
        "import os, pathlib\n"
        "p = pathlib.Path.home(); (p / 'work.txt').write_text('saved')\n"
        "print(p, (p / 'notebooks/nightly/a.ipynb').read_text(), os.listdir(p.parent))",
        volumes={str(mine): {"bind": "/home/student", "mode": "rw"}},
    )
    assert "/home/student {} ['student']" in said
    assert (mine / "work.txt").read_text() == "saved"
    assert (mine / "work.txt").stat().st_uid == 1000
