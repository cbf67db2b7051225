"""Files that are put into a home from outside: links lead nowhere, and nothing is half written."""

import errno
import os
import stat
from pathlib import Path

import pytest

from hub.edge.letterbox import leave

UID = 1000


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "homes" / "ana"
    made.mkdir(parents=True)
    os.chown(made, UID, UID)
    return made


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file and a folder of somebody else's."""
    folder = tmp_path / "homes" / "bo"
    folder.mkdir()
    os.chown(folder, UID, UID)  # all homes have one owner; what keeps them apart is the mount
    (folder / "notes").write_text("bo's")
    return folder


def inside(folder: Path) -> list[str]:
    return sorted(x.name for x in folder.iterdir())


def test_a_file_is_the_home_owners(home: Path) -> None:
    leave(home, "runs", "report.html", b"first")
    leave(home, "runs", "report.html", b"second")
    file = home / "runs" / "report.html"
    assert file.read_bytes() == b"second"
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    for path in (file, file.parent):
        assert (path.stat().st_uid, path.stat().st_gid) == (UID, UID)
    assert inside(file.parent) == ["report.html"]


def test_a_link_in_the_files_place_is_replaced_not_followed(home: Path, secret: Path) -> None:
    (home / "runs").mkdir()
    os.chown(home / "runs", UID, UID)
    (home / "runs" / "report.html").symlink_to(secret / "notes")
    leave(home, "runs", "report.html", b"mine")
    assert (secret / "notes").read_text() == "bo's"
    assert (home / "runs" / "report.html").read_bytes() == b"mine"
    os.link(secret / "notes", home / "runs" / "hard")
    leave(home, "runs", "hard", b"mine")
    assert (secret / "notes").read_text() == "bo's"


def test_a_link_in_the_folders_place_is_refused(home: Path, secret: Path) -> None:
    (home / "runs").symlink_to(secret)
    with pytest.raises(OSError, match="runs") as raised:
        leave(home, "runs", "report.html", b"x")
    assert raised.value.errno in (errno.ELOOP, errno.ENOTDIR)
    assert inside(secret) == ["notes"]


def test_a_link_in_the_homes_place_is_refused(home: Path, secret: Path) -> None:
    home.rmdir()
    home.symlink_to(secret)
    with pytest.raises(OSError, match="ana"):
        leave(home, "runs", "report.html", b"x")
    assert inside(secret) == ["notes"]


def test_a_folder_of_somebody_elses_is_refused(home: Path) -> None:
    (home / "runs").mkdir()
    os.chown(home / "runs", 4242, 4242)
    with pytest.raises(PermissionError):
        leave(home, "runs", "report.html", b"x")
    assert inside(home / "runs") == []


def test_what_cannot_take_its_name_leaves_nothing(home: Path) -> None:
    leave(home, "runs", "a", b"x")
    (home / "runs" / "report.html").mkdir()
    with pytest.raises(IsADirectoryError):
        leave(home, "runs", "report.html", b"x")
    assert inside(home / "runs") == ["a", "report.html"]


@pytest.mark.parametrize(("folder", "name"), [
    ("..", "x"), ("runs", ".."), ("runs/..", "x"), ("runs", "a/b"), ("", "x"), ("runs", ""),
    ("/etc", "x"), ("runs", "/etc/x"), ("runs", "a\0b"),
])
def test_only_plain_names(home: Path, folder: str, name: str) -> None:
    with pytest.raises(ValueError, match="one name each"):
        leave(home, folder, name, b"x")
    assert inside(home) == []


def test_no_home_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        leave(tmp_path / "nobody", "runs", "report.html", b"x")
    assert inside(tmp_path) == []
