"""What a student asks for: a fresh copy, an undo; and two at a time."""

import os
import stat
import subprocess
from datetime import timedelta

import pytest

from hub.errors import NotFound, Refusal, Unavailable
from tests.floor.classes import COURSE, UID, Classroom, cells, dumped, fates

ONE = cells(t="# Tensors", a="x = 1", b="y = 2")
TWO = cells(t="# Tensors", a="x = 10", b="y = 2", c="z = 3")


# ---- a fresh copy --------------------------------------------------------------------------------


def test_a_fresh_copy_backs_up_what_was_there(room: Classroom) -> None:
    room.publish({"w/a.ipynb": ONE, "b.txt": b"1"})
    room.given()
    room.edit("w/a.ipynb", "a", "mine")
    made = room.handouts.fresh("minji", COURSE, "w/a.ipynb")
    assert made is not None
    assert (fates(made), made.update) == ({"w/a.ipynb": "updated"}, 2)
    assert room.files()["w/a.ipynb"] == dumped(*ONE).decode()
    (name, text), = room.backups().items()
    assert name == "1/w/a.ipynb"
    assert "mine" in text
    assert room.handouts.fresh("minji", COURSE, "w/a.ipynb") is None
    back = room.handouts.undo("minji", COURSE, 2)
    assert fates(back) == {"w/a.ipynb": "updated"}
    assert room.sources("w/a.ipynb")["a"] == "mine"


def test_a_fresh_copy_of_what_was_deleted_or_is_newer(room: Classroom) -> None:
    room.publish({"a.ipynb": ONE, "b.txt": b"1"}, data={"d": b"1"})
    room.given()
    for x in ("b.txt", "d"):
        (room.folder() / x).unlink()
    for x in ("b.txt", "d"):
        assert room.handouts.fresh("minji", COURSE, x) is not None
    assert room.files()["b.txt"] == "1"
    assert room.files()["d"] == "/srv/courses/torch/1/d"
    room.edit("a.ipynb", "a", "mine")
    room.publish({"a.ipynb": TWO, "b.txt": b"2"}, data={"d": b"1"})
    made = room.handouts.fresh("minji", COURSE, "a.ipynb")
    assert made is not None
    assert room.sources("a.ipynb")["a"] == "x = 10"
    assert room.fates() == {"b.txt": "updated"}


def test_a_fresh_copy_of_nothing_or_over_something_odd_is_refused(room: Classroom) -> None:
    room.publish({"a.ipynb": ONE, "b.txt": b"1"}, later={"b.txt": timedelta(days=1)})
    room.given()
    for path in ("none.txt", "b.txt", "../x", "", "course.toml"):
        with pytest.raises(NotFound):
            room.handouts.fresh("minji", COURSE, path)
    (room.folder() / "a.ipynb").unlink()
    (room.folder() / "a.ipynb").mkdir()
    with pytest.raises(Refusal, match="A folder stands in its place"):
        room.handouts.fresh("minji", COURSE, "a.ipynb")
    (room.folder() / "a.ipynb").rmdir()
    (room.folder() / "a.ipynb").symlink_to("/etc/passwd")
    assert room.handouts.fresh("minji", COURSE, "a.ipynb") is not None
    assert room.files()["a.ipynb"] == dumped(*ONE).decode()


# ---- undo ----------------------------------------------------------------------------------------


def test_an_undo_puts_everything_back_and_holds_the_release(room: Classroom) -> None:
    files = {"a.ipynb": ONE, "b.txt": b"1", "go.sh": b"#!", "same.txt": b"s"}
    room.publish(files, data={"d": b"1"})
    room.given()
    room.edit("a.ipynb", "a", "mine")
    room.put("b.txt", b"mine")
    before = room.files()
    room.publish({"a.ipynb": TWO, "b.txt": b"2", "new.txt": b"n", "same.txt": b"s"},
                 data={"d": b"2"})
    room.given()
    made = room.handouts.undo("minji", COURSE, 2)
    assert made.undone_at == room.now
    assert fates(made) == {
        "a.ipynb": "updated", "b.new.txt": "removed", "d": "updated", "go.sh": "new",
        "new.txt": "removed",
    }
    assert room.files() == before
    assert stat.S_IMODE((room.folder() / "go.sh").stat().st_mode) == 0o755
    assert room.handouts.all_for("minji") == []
    assert room.hand_out() is None
    student = room.handouts.student("minji", COURSE)
    assert student is not None
    assert (student.release, student.held_at, student.update) == (1, 2, 2)


def test_a_release_that_was_undone_comes_by_the_button_or_with_a_newer_one(
    room: Classroom,
) -> None:
    for user in ("minji", "bora"):
        room.publish({"a.ipynb": ONE}) if user == "minji" else None
        room.given(user)
        room.edit("a.ipynb", "b", "mine", user)
    room.publish({"a.ipynb": TWO})
    for user in ("minji", "bora"):
        room.given(user)
        room.handouts.undo(user, COURSE, 2)
        assert room.hand_out(user) is None
    assert room.given("minji", anyway=True).update == 3
    room.publish({"a.ipynb": cells(t="# Tensors", a="x = 10", b="y = 2", c="z = 33")})
    for user in ("minji", "bora"):
        assert fates(room.given(user)) == {"a.ipynb": "merged"}
        assert room.sources("a.ipynb", user) == {
            "t": "# Tensors", "a": "x = 10", "b": "mine", "c": "z = 33",
        }


def test_what_was_changed_since_an_update_stays_with_the_old_one_beside(room: Classroom) -> None:
    room.publish({"a.ipynb": ONE, "b.txt": b"1", "c.txt": b"1"})
    room.given()
    room.edit("a.ipynb", "a", "mine before")
    room.publish({"a.ipynb": TWO, "b.txt": b"2", "c.txt": b"2", "n.txt": b"n"})
    room.given()
    room.edit("a.ipynb", "b", "mine since")
    room.put("b.txt", b"mine since")
    room.put("n.txt", b"mine since")
    made = room.handouts.undo("minji", COURSE, 2)
    assert {x.path: (str(x.fate), x.beside) for x in made.files} == {
        "a.ipynb": ("kept", "a.old.ipynb"), "b.txt": ("kept", "b.old.txt"),
        "c.txt": ("updated", ""), "n.txt": ("kept", ""),
    }
    assert room.sources("a.ipynb")["b"] == "mine since"
    assert room.sources("a.old.ipynb")["a"] == "mine before"
    found = room.files()
    assert (found["b.txt"], found["b.old.txt"]) == ("mine since", "1")
    assert (found["c.txt"], found["n.txt"]) == ("1", "mine since")
    # what stays has release 2 in it: the next one is merged with that
    room.publish({"a.ipynb": cells(t="# Tensors", a="x = 10", b="y = 2", c="z = 33")})
    room.given()
    assert room.sources("a.ipynb")["b"] == "mine since"
    assert room.sources("a.ipynb")["c"] == "z = 33"


def test_an_undo_is_done_once_and_newest_first(room: Classroom) -> None:
    for x in (ONE, TWO, cells(t="# Third")):
        room.publish({"a.ipynb": x})
        room.given()
    with pytest.raises(Refusal, match="Undo the update 3 first"):
        room.handouts.undo("minji", COURSE, 2)
    room.handouts.undo("minji", COURSE, 3)
    with pytest.raises(Refusal, match="undone already"):
        room.handouts.undo("minji", COURSE, 3)
    room.handouts.undo("minji", COURSE, 2)
    room.handouts.undo("minji", COURSE, 1)
    assert room.files() == {}
    with pytest.raises(NotFound):
        room.handouts.undo("minji", COURSE, 4)
    assert [x.undone_at for x in room.handouts.updates("minji", COURSE)] == [room.now] * 3


def test_an_undo_writes_over_nothing_of_the_students(room: Classroom) -> None:
    room.publish({"b.txt": b"1", "c.txt": b"1"})
    room.given()
    room.publish({"b.txt": b"2", "c.txt": b"2"})
    room.given()
    room.put("b.txt", b"since")
    room.put("c.txt", b"since")
    room.put("b.old.txt", b"my own work")
    room.put("c.old.txt/inside.txt", b"my own work")
    made = room.handouts.undo("minji", COURSE, 2)
    found = room.files()
    assert (found["b.txt"], found["b.old.txt"], found["b.old-2.txt"]) == (
        "since", "my own work", "1")
    assert (found["c.old.txt/inside.txt"], found["c.old-2.txt"]) == ("my own work", "1")
    assert {x.path: x.beside for x in made.files} == {
        "b.txt": "b.old-2.txt", "c.txt": "c.old-2.txt"}


def test_the_undo_of_a_fresh_copy_is_that_files_alone(room: Classroom) -> None:
    room.publish({"a.txt": b"1", "b.txt": b"1"})
    room.given()
    room.publish({"a.txt": b"2", "b.txt": b"2"})
    room.given()
    room.put("a.txt", b"mine")
    assert room.handouts.fresh("minji", COURSE, "a.txt") is not None
    room.handouts.undo("minji", COURSE, 2)
    room.handouts.undo("minji", COURSE, 3)
    assert room.files()["b.txt"] == "1"
    room.fates(anyway=True)
    assert room.files()["b.txt"] == "2", "the release that was undone comes again"


def test_what_had_to_wait_until_somebody_works_is_not_written(room: Classroom) -> None:
    room.publish({"b.txt": b"1"})
    room.given()
    room.publish({"b.txt": b"2"})
    assert room.hand_out(may=lambda: False) is None
    assert room.files()["b.txt"] == "1"
    room.given()
    assert room.files()["b.txt"] == "2"


def test_who_has_thrown_all_of_it_away_gets_it_all_again_whatever_else_lies_there(
    room: Classroom,
) -> None:
    room.publish({"a.ipynb": ONE, "b.txt": b"1"})
    room.given()
    for x in ("a.ipynb", "b.txt"):
        (room.folder() / x).unlink()
    room.put("feedback/hw1/grade.txt", b"good")
    assert room.fates(anyway=True) == {"a.ipynb": "new", "b.txt": "new"}


def test_an_undo_leaves_a_later_fresh_copy(room: Classroom) -> None:
    room.publish({"a.ipynb": ONE, "b.txt": b"1"})
    room.given()
    room.publish({"a.ipynb": TWO, "b.txt": b"2"})
    room.given()
    room.put("b.txt", b"mine")
    assert room.handouts.fresh("minji", COURSE, "b.txt") is not None
    made = room.handouts.undo("minji", COURSE, 2)
    assert fates(made) == {"a.ipynb": "updated", "b.txt": "updated"}
    assert room.files()["b.txt"] == "1"


# ---- the disk, and others at the same time -------------------------------------------------------


def test_where_somebody_stood_is_kept_as_long_as_it_can_be_undone(room: Classroom) -> None:
    for i in range(23):
        room.publish({"a.txt": f"{i}".encode()})
        room.given()
    kept = [room.store.handout("minji", COURSE, x) for x in range(1, 24)]
    assert [bool(x and x[1]) for x in kept] == [False] * 3 + [True] * 20
    updates = room.publishing.root / COURSE / "students" / "minji" / "updates"
    assert sorted(int(x.name) for x in updates.iterdir()) == list(range(4, 24))
    for update in range(23, 3, -1):
        room.handouts.undo("minji", COURSE, update)
    assert room.files() == {"a.txt": "2"}
    with pytest.raises(NotFound, match="kept no more"):
        room.handouts.undo("minji", COURSE, 3)
    assert len(room.handouts.updates("minji", COURSE)) == 23


def test_two_at_once_take_turns(room: Classroom) -> None:
    from concurrent.futures import ThreadPoolExecutor

    room.publish({f"{i}.ipynb": ONE for i in range(5)})
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: room.hand_out(), range(8)))
    assert sum(x is not None for x in made) == 1
    assert len(room.handouts.updates("minji", COURSE)) == 1


def test_a_file_saved_while_it_is_merged_comes_at_the_next_update(
    room: Classroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.publish({"a.ipynb": ONE, "b.txt": b"1"})
    room.given()
    room.edit("a.ipynb", "a", "mine")
    room.publish({"a.ipynb": TWO, "b.txt": b"2"})
    real = room.handouts._merging.merged

    def saved(*args: object) -> object:
        made = real(*args)
        room.edit("a.ipynb", "b", "just now")
        return made

    monkeypatch.setattr(room.handouts._merging, "merged", saved)
    assert room.fates() == {"a.ipynb": "waiting", "b.txt": "updated"}
    assert room.sources("a.ipynb") == {"t": "# Tensors", "a": "mine", "b": "just now"}
    monkeypatch.undo()
    (made,) = room.handouts.all_for("minji")
    assert fates(made) == {"a.ipynb": "beside"}
    assert room.sources("a.ipynb")["b"] == "just now"


def test_a_full_disk_is_told_loses_nothing_and_the_update_goes_on_later(room: Classroom) -> None:
    home = room.floor.broker.edges.homes.ensure("minji")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(home)], check=True)
    try:
        os.chown(home, UID, UID)
        room.publish({"a.ipynb": ONE, "b.bin": b"1" * 100_000, "c.txt": b"1", "z.bin": b"1"})
        room.given()
        room.edit("a.ipynb", "b", "mine")
        large = room.put("large", b"x" * 500_000)
        before = room.files()
        room.publish({"a.ipynb": TWO, "b.bin": b"2" * 480_000, "c.txt": b"2", "z.bin": b"2" * 10})
        with pytest.raises(Unavailable) as refused:
            room.hand_out()
        assert (refused.value.reason, refused.value.status) == ("disk-full", 507)
        assert room.sources("a.ipynb")["b"] == "mine"
        assert room.files()["b.bin"] == before["b.bin"]
        assert room.handouts.all_for("minji") == []
        large.unlink()
        (made,) = room.handouts.all_for("minji")
        assert fates(made) == {
            "a.ipynb": "merged", "b.bin": "updated", "c.txt": "updated", "z.bin": "updated",
        }
        room.handouts.undo("minji", COURSE, 2)
        assert room.files() == {k: x for k, x in before.items() if k != "large"}
    finally:
        subprocess.run(["umount", str(home)], check=True)


def test_a_fault_in_the_merge_costs_only_that_notebook(
    room: Classroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.publish({"a.ipynb": ONE, "b.ipynb": ONE})
    room.given()
    room.edit("a.ipynb", "a", "mine")
    room.publish({"a.ipynb": TWO, "b.ipynb": TWO})
    monkeypatch.setattr("hub.core.course.merge", lambda *_, **__: 1 / 0)
    made = room.given()
    assert fates(made) == {"a.ipynb": "odd", "b.ipynb": "updated"}
    assert room.sources("a.ipynb")["a"] == "mine"
    assert room.sources("a.new.ipynb")["c"] == "z = 3"
