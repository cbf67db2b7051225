"""What a student finds in a course's folder, release by release."""

import os
import stat
from datetime import timedelta

import pytest

from hub.errors import NotFound, Refusal
from tests.floor.classes import COURSE, UID, Classroom, cells, dumped, fates

ONE = cells(t="# Tensors", a="x = 1", b="y = 2")
TWO = cells(t="# Tensors", a="x = 10", b="y = 2", c="z = 3")


# ---- the first time ------------------------------------------------------------------------------


def test_a_new_student_has_every_file_and_is_told(room: Classroom) -> None:
    room.publish({"w1/a.ipynb": ONE, "README.md": b"hi", "go.sh": b"#!"}, data={"d/x.csv": b"1"})
    made = room.given()
    assert fates(made) == dict.fromkeys(("README.md", "d/x.csv", "go.sh", "w1/a.ipynb"), "new")
    assert (made.release, made.update, made.course, made.user) == (1, 1, COURSE, "minji")
    assert room.files() == {
        "README.md": "hi", "go.sh": "#!", "w1/a.ipynb": dumped(*ONE).decode(),
        "d/x.csv": "/srv/courses/torch/1/d/x.csv",
    }
    top = room.folder()
    for x in (top.parent, top, top / "w1", top / "w1/a.ipynb", top / "d/x.csv"):
        assert x.lstat().st_uid == UID
    assert stat.S_IMODE((top / "go.sh").stat().st_mode) == 0o755
    assert stat.S_IMODE((top / "README.md").stat().st_mode) == 0o644


def test_the_same_release_once_more_is_nothing_and_reads_no_file(room: Classroom) -> None:
    room.publish({"a.ipynb": ONE, "b.txt": b"x"})
    room.given()
    room.put("b.txt", b"mine")
    assert room.handouts.all_for("minji") == []
    assert room.hand_out() is None
    assert room.hand_out(anyway=True) is None
    assert len(room.handouts.updates("minji", COURSE)) == 1
    assert room.files()["b.txt"] == "mine"


def test_who_is_not_in_the_group_gets_nothing(room: Classroom) -> None:
    room.publish({"a.ipynb": ONE})
    assert room.handouts.all_for("other") == []
    for ask in (
        lambda: room.handouts.hand_out("other", COURSE),
        lambda: room.handouts.hand_out("x", COURSE),
        lambda: room.handouts.fresh("other", COURSE, "a.ipynb"),
        lambda: room.handouts.undo("other", COURSE, 1),
        lambda: room.handouts.take("other", COURSE, "a.ipynb", "a"),
        lambda: room.handouts.hand_out("minji", "none"),
        lambda: room.handouts.hand_out("minji", "../torch"),
    ):
        with pytest.raises(NotFound):
            ask()


def test_a_course_without_releases_or_all_withdrawn_is_nothing(room: Classroom) -> None:
    room.publish({"a.ipynb": ONE})
    room.store.withdraw(COURSE, 1, "prof", room.now)
    assert room.hand_out() is None
    assert room.handouts.all_for("minji") == []


def test_several_courses_come_at_one_start(room: Classroom) -> None:
    room.publish({"a.ipynb": ONE})
    room.publish({"b.ipynb": ONE}, course="second")
    assert [x.course for x in room.handouts.all_for("minji")] == ["second", COURSE]
    assert room.handouts.all_for("minji") == []


def test_one_broken_course_costs_no_other(
    room: Classroom, caplog: pytest.LogCaptureFixture
) -> None:
    room.publish({"a.ipynb": ONE})
    room.publish({"b.ipynb": ONE}, course="second")
    (room.folder().parent).mkdir(parents=True)
    os.chown(room.folder().parent, UID, UID)
    os.chown(room.folder().parent.parent, UID, UID)
    room.folder().symlink_to("/etc")
    assert [x.course for x in room.handouts.all_for("minji")] == ["second"]
    assert "is not given what is new in torch" in caplog.text
    with pytest.raises(Refusal, match="A link or a file stands"):
        room.hand_out()


def test_the_course_file_itself_is_not_handed_out(room: Classroom) -> None:
    room.publish({"a.ipynb": ONE, "course.toml": b"title = 'x'"})
    assert fates(room.given()) == {"a.ipynb": "new"}
    assert room.handouts.all_for("minji") == []


# ---- later releases ------------------------------------------------------------------------------


def test_what_the_student_left_alone_is_replaced(room: Classroom) -> None:
    room.publish({"a.ipynb": ONE, "b.txt": b"one"})
    room.given()
    (room.folder() / "b.txt").chmod(0o600)
    room.publish({"a.ipynb": TWO, "b.txt": b"two"})
    assert fates(room.given()) == {"a.ipynb": "updated", "b.txt": "updated"}
    assert room.files() == {"a.ipynb": dumped(*TWO).decode(), "b.txt": "two"}
    assert stat.S_IMODE((room.folder() / "b.txt").stat().st_mode) == 0o600
    assert room.backups() == {}


def test_a_notebook_that_both_changed_has_both(room: Classroom) -> None:
    room.publish({"a.ipynb": ONE})
    room.given()
    room.edit("a.ipynb", "b", "y = 'mine'")
    before = (room.folder() / "a.ipynb").read_text()
    room.publish({"a.ipynb": TWO})
    made = room.given()
    assert fates(made) == {"a.ipynb": "merged"}
    assert room.sources("a.ipynb") == {
        "t": "# Tensors", "a": "x = 10", "b": "y = 'mine'", "c": "z = 3",
    }
    assert {x.id: str(x.fate) for x in made.files[0].cells} == {
        "a": "taken", "b": "kept", "c": "added",
    }
    assert room.backups() == {"2/a.ipynb": before}


def test_a_cell_that_both_changed_stands_twice_and_is_replaced_by_the_next_release(
    room: Classroom,
) -> None:
    room.publish({"a.ipynb": ONE})
    room.given()
    room.edit("a.ipynb", "a", "x = 'mine'")
    room.publish({"a.ipynb": TWO})
    assert fates(room.given()) == {"a.ipynb": "beside"}
    assert room.sources("a.ipynb")["a-new"] == "x = 10"
    room.publish({"a.ipynb": cells(t="# Tensors", a="x = 100", b="y = 2", c="z = 3")})
    assert fates(room.given()) == {"a.ipynb": "beside"}
    found = room.sources("a.ipynb")
    assert found == {
        "t": "# Tensors", "a": "x = 'mine'", "a-new": "x = 100", "b": "y = 2", "c": "z = 3",
    }


def test_releases_that_a_student_missed_come_as_one(room: Classroom) -> None:
    room.publish({"a.ipynb": ONE, "gone.txt": b"x"})
    room.given()
    room.edit("a.ipynb", "b", "y = 'mine'")
    room.publish({"a.ipynb": TWO, "gone.txt": b"y", "short.txt": b"z"})
    room.publish({"a.ipynb": cells(t="# New", a="x = 10", b="y = 2")})
    made = room.given()
    assert (made.release, made.update) == (3, 2)
    assert fates(made) == {"a.ipynb": "merged", "gone.txt": "removed"}
    assert room.sources("a.ipynb") == {"t": "# New", "a": "x = 10", "b": "y = 'mine'"}


def test_another_file_that_both_changed_stays_with_the_new_one_beside(room: Classroom) -> None:
    room.publish({"w/b.tar.txt": b"one", "Makefile": b"one"})
    room.given()
    room.put("w/b.tar.txt", b"mine")
    room.put("Makefile", b"mine")
    room.publish({"w/b.tar.txt": b"two", "Makefile": b"two"})
    made = room.given()
    assert {x.path: (str(x.fate), x.beside) for x in made.files} == {
        "w/b.tar.txt": ("beside", "w/b.tar.new.txt"), "Makefile": ("beside", "Makefile.new"),
    }
    room.publish({"w/b.tar.txt": b"three", "Makefile": b"two"})
    assert fates(room.given()) == {"w/b.tar.txt": "beside"}
    assert room.files() == {
        "w/b.tar.txt": "mine", "w/b.tar.new.txt": "three", "Makefile": "mine",
        "Makefile.new": "two",
    }


def test_a_student_who_takes_the_file_beside_is_followed(room: Classroom) -> None:
    room.publish({"b.txt": b"one"})
    room.given()
    room.put("b.txt", b"mine")
    room.publish({"b.txt": b"two"})
    room.given()
    (room.folder() / "b.new.txt").replace(room.folder() / "b.txt")
    room.publish({"b.txt": b"three"})
    assert fates(room.given()) == {"b.txt": "updated"}
    assert room.files() == {"b.txt": "three"}


def test_a_file_beside_that_the_student_changed_is_not_replaced(room: Classroom) -> None:
    room.publish({"b.txt": b"one"})
    room.given()
    room.put("b.txt", b"mine")
    room.publish({"b.txt": b"two"})
    room.given()
    room.put("b.new.txt", b"mine too")
    room.publish({"b.txt": b"three"})
    made = room.given()
    assert made.files[0].beside == "b.new-2.txt"
    assert room.files() == {"b.txt": "mine", "b.new.txt": "mine too", "b.new-2.txt": "three"}


def test_a_course_may_have_a_file_of_the_name_that_lies_beside(room: Classroom) -> None:
    room.publish({"b.txt": b"one", "b.new.txt": b"theirs"})
    room.given()
    room.put("b.txt", b"mine")
    room.publish({"b.txt": b"two", "b.new.txt": b"theirs"})
    assert room.given().files[0].beside == "b.new-2.txt"
    assert room.files()["b.new.txt"] == "theirs"


def test_what_is_gone_upstream_goes_where_it_was_left_alone(room: Classroom) -> None:
    room.publish({"w/a.ipynb": ONE, "w/b.txt": b"one", "c.txt": b"one", "d.txt": b"x"})
    room.given()
    room.put("c.txt", b"mine")
    (room.folder() / "d.txt").unlink()
    room.publish({"e.txt": b"new"})
    assert room.fates() == {
        "w/a.ipynb": "removed", "w/b.txt": "removed", "c.txt": "removed-kept", "e.txt": "new",
    }
    assert room.files() == {"c.txt": "mine", "e.txt": "new"}
    assert not (room.folder() / "w").exists()


def test_what_comes_again_upstream_is_not_laid_over_the_student_s(room: Classroom) -> None:
    room.publish({"c.txt": b"one", "k": b""})
    room.given()
    room.put("c.txt", b"mine")
    room.publish({"k": b""})
    room.given()
    room.publish({"c.txt": b"again", "k": b""})
    assert room.fates() == {"c.txt": "beside"}
    assert room.files() == {"c.txt": "mine", "c.new.txt": "again", "k": ""}


def test_a_deleted_file_comes_again_only_when_it_has_changed(room: Classroom) -> None:
    room.publish({"a.ipynb": ONE, "b.txt": b"one"})
    room.given()
    for x in ("a.ipynb", "b.txt"):
        (room.folder() / x).unlink()
    room.publish({"a.ipynb": ONE, "b.txt": b"one", "c.txt": b"new"})
    assert room.fates() == {"c.txt": "new"}
    assert "a.ipynb" not in room.files()
    room.publish({"a.ipynb": TWO, "b.txt": b"one", "c.txt": b"new"})
    made = room.given()
    assert fates(made) == {"a.ipynb": "new"}
    assert str(made.files[0].note) == "You had deleted it; it has changed since."


def test_a_folder_thrown_away_comes_back_when_it_is_asked_for(room: Classroom) -> None:
    room.publish({"w/a.ipynb": ONE, "b.txt": b"one"})
    room.given()
    os.system(f"rm -rf {room.folder()}")  # noqa: S605 - as a student does
    assert room.hand_out() is None
    assert room.fates(anyway=True) == {"w/a.ipynb": "new", "b.txt": "new"}


def test_files_of_the_student_s_own_are_nobody_s_business(room: Classroom) -> None:
    room.publish({"a.ipynb": ONE})
    room.given()
    room.put("own/mine.ipynb", b"whatever")
    room.publish({"a.ipynb": TWO})
    assert room.fates() == {"a.ipynb": "updated"}
    assert room.files()["own/mine.ipynb"] == "whatever"


def test_a_student_s_own_file_that_gets_a_namesake(room: Classroom) -> None:
    room.publish({"a.ipynb": ONE})
    room.given()
    room.put("b.txt", b"mine")
    room.put("same.txt", b"same")
    room.put("n.ipynb", cells(q="my own"))
    room.put("copy.ipynb", cells(t="# Tensors", a="x = 'mine'", b="y = 2"))
    files = {"b.txt": b"theirs", "same.txt": b"same", "n.ipynb": TWO, "copy.ipynb": TWO}
    room.publish({"a.ipynb": ONE, **files})
    made = room.given()
    assert fates(made) == {
        "b.txt": "beside", "same.txt": "new", "n.ipynb": "beside", "copy.ipynb": "beside",
    }
    assert room.files()["b.txt"] == "mine"
    assert room.sources("n.ipynb") == {"q": "my own"}
    assert room.sources("n.new.ipynb")["c"] == "z = 3"
    # one that came from the course by another way is merged
    assert room.sources("copy.ipynb")["a"] == "x = 'mine'"
    assert room.sources("copy.ipynb")["c"] == "z = 3"


def test_a_notebook_that_is_the_student_s_alone_is_told_beside_what_is_new(room: Classroom) -> None:
    room.publish({"a.ipynb": ONE, "b.ipynb": ONE, "p.png": b"x"})
    room.given()
    room.edit("a.ipynb", "a", "mine")
    room.put("p.png", b"mine")
    room.publish({"a.ipynb": ONE, "b.ipynb": TWO, "p.png": b"x"})
    assert room.fates() == {"a.ipynb": "kept", "b.ipynb": "updated"}


def test_a_release_without_anything_for_students_is_only_noted(room: Classroom) -> None:
    room.publish({"a.ipynb": ONE})
    room.given()
    room.edit("a.ipynb", "a", "mine")
    room.publish({"a.ipynb": ONE, "course.toml": b"title = 'x'"})
    assert room.hand_out() is None
    student = room.handouts.student("minji", COURSE)
    assert student is not None
    assert (student.release, student.update) == (2, 1)


def test_a_withdrawn_release_stays_with_who_has_it(room: Classroom) -> None:
    room.publish({"a.ipynb": ONE})
    room.given()
    room.publish({"a.ipynb": TWO})
    room.given()
    room.store.withdraw(COURSE, 2, "prof", room.now)
    assert room.hand_out() is None
    assert room.hand_out(anyway=True) is None
    assert room.handouts.all_for("minji") == []
    assert fates(room.given("bora")) == {"a.ipynb": "new"}
    assert room.sources("a.ipynb", "bora") == {"t": "# Tensors", "a": "x = 1", "b": "y = 2"}
    room.publish({"a.ipynb": cells(t="# Third")})
    assert room.given().release == 3
    assert room.sources("a.ipynb") == {"t": "# Third"}


def test_what_becomes_visible_comes_without_a_release(room: Classroom) -> None:
    room.publish({"a.ipynb": ONE, "b.ipynb": TWO}, later={"b.ipynb": timedelta(days=7)})
    assert room.fates() == {"a.ipynb": "new"}
    room.now += timedelta(days=6)
    assert room.handouts.all_for("minji") == []
    room.now += timedelta(days=2)
    (made,) = room.handouts.all_for("minji")
    assert (fates(made), made.release, made.update) == ({"b.ipynb": "new"}, 1, 2)
