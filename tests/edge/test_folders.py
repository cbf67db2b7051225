"""A student's folder from outside, against a student who does what can be done in it."""

import fcntl
import os
import shutil
import signal
import stat
from hashlib import sha256
from pathlib import Path

import pytest

from hub.edge.folders import ABSENT, Changed, Folder, Odd, beside, opened
from hub.errors import BadInput
from tests.edge.folder_fixtures import MOST, UID, names, theirs

# ---- what is there -------------------------------------------------------------------------------


def test_a_file_is_the_students_with_all_folders_above(folder: Folder, at: Path) -> None:
    folder.write("week1/a.ipynb", b"first", was=ABSENT)
    folder.sync()
    seen = folder.read("week1/a.ipynb", MOST)
    assert (seen.kind, seen.content, seen.sha256) == (
        "file", b"first", sha256(b"first").hexdigest()
    )
    for x in (at.parent, at, at / "week1", at / "week1" / "a.ipynb"):
        assert (x.stat().st_uid, x.stat().st_gid) == (UID, UID)
    assert stat.S_IMODE((at / "week1" / "a.ipynb").stat().st_mode) == 0o644
    folder.write("run.sh", b"x", was=ABSENT, executable=True)
    assert stat.S_IMODE((at / "run.sh").stat().st_mode) == 0o755
    assert names(at) == ["run.sh", "week1", "week1/a.ipynb"]


def test_a_replaced_file_keeps_its_mode(folder: Folder, at: Path) -> None:
    theirs(at / "a").chmod(0o700)
    folder.write("a", b"new", was=folder.read("a", MOST))
    assert (at / "a").read_bytes() == b"new"
    assert stat.S_IMODE((at / "a").stat().st_mode) == 0o700
    assert names(at) == ["a"]


def test_what_is_not_there_is_absent(folder: Folder, home: Path) -> None:
    assert folder.read("none/at/all", MOST) == ABSENT
    assert folder.look("none") == ABSENT
    with pytest.raises(FileNotFoundError), opened(home, "courses/other"):
        pass
    with pytest.raises(FileNotFoundError), opened(home.parent / "nobody", "x", make=True):
        pass


def test_a_removed_file_takes_its_empty_folders_along(folder: Folder, at: Path) -> None:
    folder.write("a/b/c", b"x", was=ABSENT)
    folder.write("a/d", b"x", was=ABSENT)
    folder.remove("a/b/c", was=folder.read("a/b/c", MOST))
    folder.sync()
    assert names(at) == ["a", "a/d"]


def test_a_link_to_data_is_made_and_replaced(folder: Folder, at: Path) -> None:
    folder.link("data/x.csv", "/srv/courses/torch/1/data/x.csv", was=ABSENT)
    seen = folder.look("data/x.csv")
    assert (seen.kind, seen.target) == ("link", "/srv/courses/torch/1/data/x.csv")
    folder.link("data/x.csv", "/srv/courses/torch/2/data/x.csv", was=seen)
    assert (at / "data" / "x.csv").readlink() == Path("/srv/courses/torch/2/data/x.csv")
    assert (at / "data" / "x.csv").lstat().st_uid == UID
    folder.remove("data/x.csv", was=folder.look("data/x.csv"))
    assert names(at) == []


def test_the_name_beside() -> None:
    assert beside("week1/a.ipynb", "new") == "week1/a.new.ipynb"
    assert beside("Makefile", "new") == "Makefile.new"
    assert beside("a.tar.gz", "new") == "a.tar.new.gz"


# ---- what a student may lay there ----------------------------------------------------------------


def test_a_link_is_told_and_never_followed(folder: Folder, at: Path, bo: Path) -> None:
    (at / "a").symlink_to(bo / "notes")
    seen = folder.read("a", MOST)
    assert (seen.kind, seen.content) == ("link", b"")
    with pytest.raises(Changed):
        folder.write("a", b"x", was=ABSENT)
    folder.write("a", b"x", was=seen)
    assert (bo / "notes").read_text() == "bo's"
    assert (at / "a").read_bytes() == b"x"


@pytest.mark.parametrize("place", ["week1", "courses", "courses/torch"])
def test_a_link_on_the_way_leads_nowhere(home: Path, bo: Path, place: str) -> None:
    if "/" in place:
        (home / "courses").mkdir()
        os.chown(home / "courses", UID, UID)
    with opened(home, "courses/torch", make=True) as folder:
        at = home / "courses" / "torch"
        if place != "week1":
            shutil.rmtree(home / place)
        (at / "week1" if place == "week1" else home / place).symlink_to(bo)
        if place == "week1":
            assert folder.read("week1/notes", MOST).problem == "way"
            for act in (
                lambda: folder.write("week1/notes", b"x", was=ABSENT),
                lambda: folder.write("week1/new", b"x", was=ABSENT),
                lambda: folder.link("week1/new", "x", was=ABSENT),
                lambda: folder.remove("week1/notes", was=ABSENT),
                lambda: folder.make("week1/new"),
            ):
                with pytest.raises(Odd):
                    act()
    if place != "week1":
        with pytest.raises(Odd), opened(home, "courses/torch", make=True):
            pass
    assert names(bo) == ["notes"]
    assert (bo / "notes").read_text() == "bo's"


def test_a_link_in_the_homes_place_leads_nowhere(home: Path, bo: Path) -> None:
    home.rmdir()
    home.symlink_to(bo)
    with pytest.raises(Odd), opened(home, "courses", make=True):
        pass
    assert names(bo) == ["notes"]


def test_a_file_where_a_folder_should_be_is_left(folder: Folder, at: Path) -> None:
    theirs(at / "week1")
    assert folder.read("week1/a", MOST).problem == "way"
    with pytest.raises(Odd):
        folder.write("week1/a", b"x", was=ABSENT)
    assert (at / "week1").read_text() == "mine"


def test_a_folder_where_a_file_should_be_is_left(folder: Folder, at: Path) -> None:
    (at / "a").mkdir()
    assert folder.read("a", MOST).kind == "folder"
    with pytest.raises(Changed):
        folder.write("a", b"x", was=ABSENT)
    assert names(at) == ["a"]


def test_pipes_sockets_and_devices_are_never_opened(folder: Folder, at: Path) -> None:
    os.mkfifo(at / "pipe")
    os.mknod(at / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(at / "disk", stat.S_IFBLK | 0o666, os.makedev(7, 250))
    for x in ("pipe", "null", "disk"):
        os.chown(at / x, UID, UID)
        assert folder.read(x, MOST).problem == "special"
    assert {x.problem for x in folder.walk(10)} == {"special"}


def test_a_second_name_of_a_file_is_left(folder: Folder, at: Path, bo: Path) -> None:
    os.link(bo / "notes", at / "a")
    seen = folder.read("a", MOST, guard=True)
    assert (seen.kind, seen.problem, seen.content) == ("odd", "shared", b"")


def test_a_file_or_folder_of_somebody_elses_is_left(folder: Folder, at: Path) -> None:
    (at / "roots").write_text("x")
    (at / "other").mkdir()
    assert folder.read("roots", MOST).problem == "foreign"
    assert folder.read("other/x", MOST).problem == "foreign"
    with pytest.raises(Odd):
        folder.write("other/x", b"x", was=ABSENT)
    assert names(at) == ["other", "roots"]


def test_what_is_locked_is_left(folder: Folder, at: Path) -> None:
    theirs(at / "a").chmod(0o444)
    assert folder.read("a", MOST, guard=True).problem == "locked"
    with theirs(at / "b").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert folder.read("b", MOST, guard=True).problem == "locked"
    assert folder.read("b", MOST, guard=True).content == b"mine"


def test_what_may_not_be_replaced_is_read_and_never_replaced(
    folder: Folder, at: Path, bo: Path
) -> None:
    theirs(at / "a").chmod(0o444)
    os.link(theirs(at / "b"), bo / "second")
    with theirs(at / "c").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for name, problem in (("a", "locked"), ("b", "shared"), ("c", "locked")):
            seen = folder.read(name, MOST)
            assert (seen.kind, seen.content, seen.problem) == ("file", b"mine", problem)
            assert folder.read(name, 3).problem == "huge"
            for change in (
                lambda: folder.write(name, b"x", was=seen),  # noqa: B023 - called at once
                lambda: folder.remove(name, was=seen),  # noqa: B023
                lambda: folder.link(name, "x", was=seen),  # noqa: B023
            ):
                with pytest.raises(Odd, match=problem):
                    change()
    assert names(at) == ["a", "b", "c"]
    assert [(at / x).read_text() for x in "abc"] == ["mine"] * 3


def test_a_file_lease_holds_up_nobody(folder: Folder, at: Path) -> None:
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    with theirs(at / "a").open("r+b") as file:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        assert folder.read("a", MOST).problem == "locked"


def test_too_much_is_not_read(folder: Folder, at: Path) -> None:
    theirs(at / "a", "x" * 11)
    assert folder.read("a", 10).problem == "huge"
    assert folder.read("a", 11).kind == "file"
    with (at / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    os.chown(at / "sparse", UID, UID)
    assert folder.read("sparse", MOST).problem == "huge"


def test_of_many_files_only_so_many_are_listed(folder: Folder, at: Path) -> None:
    for i in range(100_000):
        os.close(os.open(at / f"{i}", os.O_CREAT | os.O_WRONLY))
    with pytest.raises(BadInput) as refused:
        folder.walk(1000)
    assert refused.value.reason == "too-large"
    folder.write("a", b"x", was=ABSENT)
    assert folder.read("a", MOST).content == b"x"


def test_folders_in_folders_have_an_end(folder: Folder, at: Path) -> None:
    here = at
    for _ in range(60):
        here /= "d"
        here.mkdir()
        os.chown(here, UID, UID)
    with pytest.raises(BadInput):
        folder.walk(1000)


def test_a_walk_tells_links_and_names_of_any_bytes(folder: Folder, at: Path, bo: Path) -> None:
    (at / "link").symlink_to(bo)
    raw = os.fsencode(at) + b"/\xff\xfe"
    os.close(os.open(raw, os.O_CREAT | os.O_WRONLY))
    os.chown(raw, UID, UID)
    folder.write("w/a", b"123", was=ABSENT)
    found = [(x.path, x.kind) for x in folder.walk(100)]
    assert found == [
        ("link", "link"), ("w", "folder"), ("w/a", "file"), ("\udcff\udcfe", "file"),
    ]


@pytest.mark.parametrize("path", [
    "", ".", "..", "../bo", "a/../b", "/etc/passwd", "a//b", "a/", "a\0b", "a/./b",
    "/".join("a" * 40),
])
def test_only_paths_inside(folder: Folder, path: str) -> None:
    for act in (
        lambda: folder.look(path), lambda: folder.write(path, b"", was=ABSENT),
        lambda: folder.remove(path, was=ABSENT), lambda: folder.link(path, "x", was=ABSENT),
    ):
        with pytest.raises(BadInput):
            act()


def test_names_that_no_file_can_have(folder: Folder) -> None:
    long = "x" * 300
    assert folder.read(long, MOST).kind == "odd"
    assert folder.read(f"{long}/a", MOST).kind == "odd"
    with pytest.raises(Odd):
        folder.write(long, b"", was=ABSENT)
    longest = "x" * 255
    folder.write(longest, b"a", was=ABSENT)
    assert folder.read(longest, MOST).content == b"a"
