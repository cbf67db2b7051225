"""Read-only data, and what a student may have put in the place of a file."""

import fcntl
import json
import os
from pathlib import Path

import pytest

from hub.errors import Refusal
from tests.floor.classes import COURSE, UID, Classroom, cells, dumped, fates

ONE = cells(t="# Tensors", a="x = 1", b="y = 2")
TWO = cells(t="# Tensors", a="x = 10", b="y = 2", c="z = 3")


# ---- read-only data ------------------------------------------------------------------------------


def test_data_are_links_that_follow_the_release_in_silence(room: Classroom) -> None:
    room.publish({"a.ipynb": ONE}, data={"d/x.csv": b"1", "d/y.csv": b"2"})
    room.given()
    (room.folder() / "d/y.csv").unlink()
    room.publish({"a.ipynb": ONE}, data={"d/x.csv": b"1", "d/y.csv": b"2"})
    assert room.hand_out() is None
    assert room.handouts.all_for("minji") == []
    assert room.files()["d/x.csv"] == "/srv/courses/torch/2/d/x.csv"
    assert "d/y.csv" not in room.files()
    room.publish({"a.ipynb": ONE}, data={"d/x.csv": b"new", "d/y.csv": b"new"})
    assert room.fates() == {"d/x.csv": "updated", "d/y.csv": "new"}
    room.publish({"a.ipynb": ONE})
    assert room.fates() == {"d/x.csv": "removed", "d/y.csv": "removed"}
    assert list(room.files()) == ["a.ipynb"]


def test_what_stands_in_the_place_of_data_stays(room: Classroom) -> None:
    room.publish({"a.ipynb": ONE})
    room.given()
    room.put("d/x.csv", b"mine")
    room.publish({"a.ipynb": ONE}, data={"d/x.csv": b"1"})
    made = room.given()
    assert fates(made) == {"d/x.csv": "odd"}
    assert "/srv/courses/torch/2/d/x.csv" in str(made.files[0].note)
    assert room.files()["d/x.csv"] == "mine"
    assert room.handouts.all_for("minji") == []


def test_a_file_becomes_data_and_a_file_again(room: Classroom) -> None:
    room.publish({"x.csv": b"1", "y.csv": b"1"})
    room.given()
    room.put("y.csv", b"mine")
    room.publish({}, data={"x.csv": b"1", "y.csv": b"1"})
    assert room.fates() == {"x.csv": "updated", "y.csv": "odd"}
    assert room.files() == {"x.csv": "/srv/courses/torch/2/x.csv", "y.csv": "mine"}
    room.publish({"x.csv": b"1", "y.csv": b"1"})
    made = room.fates()
    assert made["x.csv"] == "updated"
    assert room.files()["x.csv"] == "1"
    assert room.files()["y.csv"] == "mine"


# ---- what cannot be merged -----------------------------------------------------------------------


def lay_link(file: Path) -> None:
    file.unlink()
    file.symlink_to("/etc/passwd")


def lay_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)
    os.chown(file, UID, UID)


def lay_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()
    os.chown(file, UID, UID)


ODD = {
    "empty": lambda x: x.write_bytes(b""), "broken": lambda x: x.write_bytes(b'{"cells": [1'),
    "no notebook": lambda x: x.write_bytes(b'{"a": 1}'),
    "deep": lambda x: x.write_bytes(b"[" * 100_000),
    "old format": lambda x: x.write_bytes(b'{"nbformat": 3, "worksheets": [], "metadata": {}}'),
    "large": lambda x: os.truncate(x, 21 << 20), "huge": lambda x: os.truncate(x, 1 << 40),
    "read-only": lambda x: (x.write_bytes(dumped(*cells(a="1"))), x.chmod(0o444)),
    "second name": lambda x: (os.link(x, x.with_name("other")), x.write_bytes(b"changed")),
    "link": lay_link, "pipe": lay_pipe, "folder": lay_folder,
}


@pytest.mark.parametrize("how", ODD)
def test_an_odd_notebook_is_left_alone_with_the_new_one_beside(room: Classroom, how: str) -> None:
    room.publish({"w/a.ipynb": ONE})
    room.given()
    file = room.folder() / "w/a.ipynb"
    ODD[how](file)
    before = file.lstat()
    room.publish({"w/a.ipynb": TWO})
    made = room.given()
    assert [(x.path, str(x.fate), x.beside) for x in made.files] == [
        ("w/a.ipynb", "odd", "w/a.new.ipynb"),
    ]
    assert str(made.files[0].note)
    assert room.sources("w/a.new.ipynb")["c"] == "z = 3"
    after = file.lstat()
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (
        before.st_ino, before.st_size, before.st_mtime_ns
    )
    # told once; nothing new at the next starts, nor when somebody asks
    assert room.handouts.all_for("minji") == []
    assert room.hand_out(anyway=True) is None


def test_a_mended_notebook_is_merged_with_what_was_given_before(room: Classroom) -> None:
    room.publish({"a.ipynb": ONE})
    room.given()
    room.put("a.ipynb", b"")
    room.publish({"a.ipynb": TWO})
    room.given()
    room.put("a.ipynb", cells(t="# Tensors", a="x = 1", b="mine"))
    made = room.given(anyway=True)
    assert fates(made) == {"a.ipynb": "merged"}
    assert room.sources("a.ipynb") == {
        "t": "# Tensors", "a": "x = 10", "b": "mine", "c": "z = 3",
    }
    assert "a.new.ipynb" not in room.files()


def test_a_locked_file_is_left_alone(room: Classroom) -> None:
    room.publish({"a.ipynb": ONE, "b.txt": b"1"})
    room.given()
    room.publish({"a.ipynb": TWO, "b.txt": b"2"})
    with (room.folder() / "b.txt").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        made = room.given()
    assert fates(made) == {"a.ipynb": "updated", "b.txt": "odd"}
    assert room.files()["b.txt"] == "1"
    assert room.files()["b.new.txt"] == "2"


def test_a_locked_file_stays_whatever_its_owner_asks_for(room: Classroom) -> None:
    room.publish({"a.ipynb": ONE, "b.txt": b"1"})
    room.given()
    room.edit("a.ipynb", "a", "mine")
    room.publish({"a.ipynb": TWO, "b.txt": b"2"})
    room.given()
    for name in ("a.ipynb", "b.txt"):
        (room.folder() / name).chmod(0o444)
    before, backups = room.files(), room.backups()
    for ask in (
        lambda: room.handouts.fresh("minji", COURSE, "a.ipynb"),
        lambda: room.handouts.take("minji", COURSE, "a.ipynb", "a"),
        lambda: room.handouts.keep("minji", COURSE, "a.ipynb", "a"),
    ):
        with pytest.raises(Refusal, match="locked or read-only"):
            ask()
    assert (room.files(), room.backups()) == (before, backups)
    made = room.handouts.undo("minji", COURSE, 2)
    assert fates(made) == {"a.ipynb": "kept", "b.txt": "kept"}
    assert room.files()["b.txt"] == "2"
    assert room.files()["b.old.txt"] == "1"


def test_a_link_in_the_place_of_a_folder_leads_nowhere(room: Classroom, tmp_path: Path) -> None:
    room.publish({"w/a.ipynb": ONE, "b.txt": b"1"})
    room.given()
    elsewhere = tmp_path / "elsewhere"
    (room.folder() / "w").rename(elsewhere)
    (room.folder() / "w").symlink_to(elsewhere)
    room.publish({"w/a.ipynb": TWO, "w/new.txt": b"x", "b.txt": b"2"})
    assert room.fates() == {"w/a.ipynb": "odd", "w/new.txt": "odd", "b.txt": "updated"}
    assert [x.name for x in elsewhere.iterdir()] == ["a.ipynb"]
    assert (elsewhere / "a.ipynb").read_bytes() == dumped(*ONE)
    assert room.handouts.all_for("minji") == []
    (room.folder() / "w").unlink()
    elsewhere.rename(room.folder() / "w")
    assert room.fates(anyway=True) == {"w/a.ipynb": "updated", "w/new.txt": "new"}


def test_a_large_notebook_is_merged_aside(room: Classroom) -> None:
    room.publish({"a.ipynb": ONE})
    room.given()
    found = room.book("a.ipynb")
    found["cells"][2]["source"] = "mine"
    found["cells"][2]["outputs"] = [{
        "output_type": "stream", "name": "stdout", "text": "x" * (2 << 20),
    }]
    (room.folder() / "a.ipynb").write_text(json.dumps(found))
    room.publish({"a.ipynb": TWO})
    made = room.given()
    assert (fates(made), str(made.files[0].note)) == ({"a.ipynb": "merged"}, "")
    assert room.sources("a.ipynb")["c"] == "z = 3"
    assert len(room.book("a.ipynb")["cells"][2]["outputs"][0]["text"]) == 2 << 20
    assert str(made.files[0].cells[0].fate)


# ---- while it is open ----------------------------------------------------------------------------


def test_what_is_open_waits_and_comes_when_it_is_closed(room: Classroom) -> None:
    room.publish({"a.ipynb": ONE, "b.ipynb": ONE, "c.txt": b"x"})
    room.given()
    room.edit("a.ipynb", "b", "mine")
    room.publish({"a.ipynb": TWO, "b.ipynb": TWO})
    assert room.fates(open=["a.ipynb", "c.txt"], anyway=True) == {
        "a.ipynb": "waiting", "b.ipynb": "updated", "c.txt": "waiting",
    }
    again = room.given(open=["a.ipynb", "c.txt"], anyway=True)
    assert fates(again) == {"a.ipynb": "waiting", "c.txt": "waiting"}
    assert [x.update for x in room.handouts.updates("minji", COURSE)] == [2, 1]
    (made,) = room.handouts.all_for("minji")
    assert fates(made) == {"a.ipynb": "merged", "c.txt": "removed"}
    assert room.sources("a.ipynb")["c"] == "z = 3"
