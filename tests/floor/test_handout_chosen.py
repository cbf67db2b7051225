"""Two versions side by side: what a student says to them, and what their instructors see."""

import json
from contextlib import ExitStack

import pytest

from hub.errors import NotFound, Refusal, Unavailable
from tests.floor.classes import COURSE, Classroom, cells

ONE = cells(t="# Tensors", a="x = 1", b="y = 2")
TWO = cells(t="# Tensors", a="x = 10", b="y = 2", c="z = 3")


def test_of_two_versions_of_a_cell_the_student_takes_one(room: Classroom) -> None:
    room.publish({"a.ipynb": ONE})
    room.given()
    room.edit("a.ipynb", "a", "my a")
    room.edit("a.ipynb", "b", "my b")
    room.publish({"a.ipynb": cells(t="# Tensors", a="their a", b="their b")})
    room.given()
    assert room.handouts.take("minji", COURSE, "a.ipynb", "a").fate == "beside"
    assert room.handouts.keep("minji", COURSE, "a.ipynb", "b").fate == "merged"
    assert room.sources("a.ipynb") == {"t": "# Tensors", "a": "their a", "b": "my b"}
    assert any("my a" in x for x in room.backups().values())
    with pytest.raises(Refusal):
        room.handouts.take("minji", COURSE, "a.ipynb", "a")
    with pytest.raises(NotFound):
        room.handouts.take("minji", COURSE, "none.ipynb", "a")
    room.put("a.ipynb", b"broken")
    with pytest.raises(Refusal, match="no notebook"):
        room.handouts.keep("minji", COURSE, "a.ipynb", "a")
    assert room.handouts.all_for("minji") == []


def large(room: Classroom, user: str = "minji") -> None:
    """A notebook with an output of 9 MiB in which one cell stands twice."""
    book = room.book("a.ipynb", user)
    book["cells"][1]["outputs"] = [
        {"output_type": "stream", "name": "stdout", "text": "x" * (9 << 20)}]
    room.put("a.ipynb", json.dumps(book).encode(), user)


def twice(room: Classroom, *users: str) -> None:
    """A cell that both have changed."""
    room.publish({"a.ipynb": ONE})
    for user in users:
        room.given(user)
        room.edit("a.ipynb", "a", "mine", user)
    room.publish({"a.ipynb": TWO})
    for user in users:
        room.given(user)


def test_a_choice_in_a_large_notebook_is_made_aside(
    room: Classroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice(room, "minji", "bora")
    for user in ("minji", "bora"):
        large(room, user)

    def never(*_: object) -> None:
        raise AssertionError("it is parsed in the service")

    monkeypatch.setattr("hub.merging._read", never)
    monkeypatch.setattr("hub.merging._written", never)
    with pytest.raises(Refusal) as refused:
        room.handouts.take("minji", COURSE, "a.ipynb", "none")
    assert refused.value.reason == "no-new-version"
    assert room.handouts.take("minji", COURSE, "a.ipynb", "a").fate == "merged"
    assert room.handouts.keep("bora", COURSE, "a.ipynb", "a").fate == "merged"
    assert [room.sources("a.ipynb", x)["a"] for x in ("minji", "bora")] == ["x = 10", "mine"]
    room.put("a.ipynb", b"{" * (2 << 20))
    with pytest.raises(Refusal, match="no notebook"):
        room.handouts.take("minji", COURSE, "a.ipynb", "a")


def test_of_large_notebooks_only_some_are_in_memory_at_once(
    room: Classroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice(room, "minji", "bora")
    large(room)
    monkeypatch.setattr("hub.merging._PATIENCE", 0.01)
    before = room.files()
    with ExitStack() as others:
        for _ in range(4):
            others.enter_context(room.handouts._merging.room(9 << 20))
        with pytest.raises(Unavailable) as refused:
            room.handouts.take("minji", COURSE, "a.ipynb", "a")
        assert (refused.value.reason, refused.value.status) == ("busy", 503)
        assert room.files() == before
        assert room.handouts.take("bora", COURSE, "a.ipynb", "a").fate == "merged"
    assert room.handouts.take("minji", COURSE, "a.ipynb", "a").fate == "merged"


def test_what_students_have_is_seen_by_their_instructors(room: Classroom) -> None:
    room.publish({"a.ipynb": ONE, "b.ipynb": ONE})
    room.given()
    room.edit("a.ipynb", "a", "mine")
    found = room.book("a.ipynb")
    found["cells"][1]["execution_count"] = 3
    (room.folder() / "a.ipynb").write_text(json.dumps(found))
    room.publish({"a.ipynb": TWO, "b.ipynb": ONE})
    room.given()
    bora, minji = room.handouts.overview(COURSE)
    assert (bora.user, bora.release, bora.opened, bora.executed) == ("bora", None, False, {})
    assert (minji.user, minji.release, minji.at, minji.opened) == ("minji", 2, room.now, True)
    assert minji.conflicts == 1
    assert minji.executed == {"a.ipynb": (1, 3), "b.ipynb": (0, 2)}
    room.given("bora")
    bora, _ = room.handouts.overview(COURSE)
    assert (bora.release, bora.opened) == (2, False)
    room.put(".ipynb_checkpoints/b-checkpoint.ipynb", b"{}", "bora")
    assert room.handouts.overview(COURSE)[0].opened


def test_what_lies_beside_is_counted_until_it_is_taken_away(room: Classroom) -> None:
    room.publish({"a.ipynb": ONE, "b.txt": b"1", "c.txt": b"1"}, data={"d": b"1"})
    room.given()
    for name in ("b.txt", "c.txt"):
        room.put(name, b"mine")
    (room.folder() / "d").unlink()
    room.put("d", b"mine")  # nothing lies beside read-only data
    room.publish({"a.ipynb": ONE, "b.txt": b"2", "c.txt": b"2"}, data={"d": b"2"})
    room.given()

    def conflicts() -> int:
        return next(x.conflicts for x in room.handouts.overview(COURSE) if x.user == "minji")

    assert conflicts() == 2
    (room.folder() / "b.new.txt").unlink()
    assert conflicts() == 1
    (room.folder() / "c.new.txt").replace(room.folder() / "c.txt")
    assert conflicts() == 0
