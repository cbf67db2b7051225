"""Who is away has the release too; who is at work gets it at the next start."""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hub import firstcourse, mounts
from hub.attending import Attending
from hub.core.courses import Course
from hub.core.roster import Member, Role
from hub.edge.engine import Container
from tests.face.running import until
from tests.floor.classes import COURSE, GROUP, UID, Classroom, cells

ONE, TWO = {"a.ipynb": cells(a="1")}, {"a.ipynb": cells(a="2")}


@pytest.fixture
def attending(room: Classroom, monkeypatch: pytest.MonkeyPatch) -> Iterator[Attending]:
    monkeypatch.setattr("hub.attending._LOOK", 0)
    made = Attending(room.handouts)
    yield made
    made.close()


def tick(attending: Attending) -> int:
    begun = attending.tick()
    until(lambda: not attending.busy, "they have it")
    return begun


def has(room: Classroom, user: str) -> str:
    file = room.folder(user) / "a.ipynb"
    return room.sources("a.ipynb", user)["a"] if file.exists() else ""


def at_work(room: Classroom, user: str, *, running: bool = True) -> None:
    room.floor.engine.found[user] = Container(
        id=user, name=user, lease="", kind="server", user=user, image="x", running=running,
        started_at=datetime.now(UTC),
    )


def test_members_with_a_home_who_are_away_get_what_is_new(
    room: Classroom, attending: Attending
) -> None:
    homes = room.floor.broker.edges.homes
    for user in ("minji", "prof", "other"):
        homes.ensure(user)
    room.publish(ONE)
    assert tick(attending) == 2
    assert [has(room, x) for x in ("minji", "prof", "bora", "other")] == ["1", "1", "", ""]
    assert not homes.path("bora").exists()
    assert tick(attending) == 0


def test_who_is_at_work_is_left_alone(room: Classroom, attending: Attending) -> None:
    for user in ("minji", "bora"):
        room.floor.broker.edges.homes.ensure(user)
    at_work(room, "minji")
    at_work(room, "bora", running=False)
    room.publish(ONE)
    assert tick(attending) == 1
    assert (has(room, "minji"), has(room, "bora")) == ("", "1")
    found = room.floor.engine.found
    found["minji"] = replace(found["minji"], running=False)
    assert tick(attending) == 1
    assert has(room, "minji") == "1"


def test_who_is_about_to_have_a_server_gets_it_at_the_start(
    room: Classroom, attending: Attending
) -> None:
    room.floor.broker.edges.homes.ensure("minji")
    room.floor.server("minji")
    room.publish(ONE)
    assert tick(attending) == 0


def test_while_docker_does_not_say_who_is_at_work_nobody_gets_anything(
    room: Classroom, attending: Attending
) -> None:
    room.floor.broker.edges.homes.ensure("minji")
    room.publish(ONE)
    room.floor.engine.away = True
    assert tick(attending) == 0
    room.floor.engine.away = False
    assert tick(attending) == 1


def test_a_failure_is_not_tried_again_at_once_and_costs_no_other(
    room: Classroom, attending: Attending, caplog: pytest.LogCaptureFixture
) -> None:
    for user in ("minji", "bora"):
        home = room.floor.broker.edges.homes.ensure(user)
    (home / "courses").symlink_to("/etc")  # bora's
    room.publish(ONE)
    assert tick(attending) == 2
    assert (has(room, "minji"), has(room, "bora")) == ("1", "")
    assert "bora is not given what is new in torch" in caplog.text
    assert tick(attending) == 0


def test_an_undone_release_is_not_handed_out_by_the_tick(
    room: Classroom, attending: Attending
) -> None:
    room.publish(ONE)
    room.given()
    room.publish(TWO)
    room.given()
    room.handouts.undo("minji", COURSE, 2)
    assert tick(attending) == 0
    room.publish(TWO | {"b.ipynb": cells(a="b")})
    assert tick(attending) == 1
    assert has(room, "minji") == "2"


def test_files_that_became_visible_and_were_undone_are_not_handed_out_by_the_tick(
    room: Classroom, attending: Attending
) -> None:
    room.publish(ONE | {"b.txt": b"b"}, later={"b.txt": timedelta(hours=1)})
    room.given()
    room.now += timedelta(hours=1)
    assert tick(attending) == 1
    room.handouts.undo("minji", COURSE, 2)
    assert tick(attending) == 0
    assert not (room.folder() / "b.txt").exists()


# ---- what a look costs ---------------------------------------------------------------------------


def behind(room: Classroom, *users: str) -> list[str]:
    return [x for x in users if COURSE in room.handouts.due(x)]


def steps(work: Callable[[], object]) -> int:
    """How many functions of Python are called."""
    called = 0

    def count(_: object, event: str, __: object) -> None:
        nonlocal called
        called += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return called


def test_a_look_costs_the_same_for_a_large_course_and_for_a_small_one(
    room: Classroom, attending: Attending
) -> None:
    """Each student has two hundred files of the one and one of the other."""
    costs = []
    for files in (1, 200):
        room.publish({f"{i}.txt": b"x" for i in range(files)})
        for user in ("minji", "bora"):
            room.given(user)
        # a course was here before it: whoever has a home is not sent again
        assert attending.tick() == 0
        costs.append(steps(attending.tick))
    small, large = costs
    assert large < small + 20


def test_a_start_reads_no_file_of_a_release_that_they_have(
    room: Classroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.publish(ONE)
    room.given()
    assert behind(room, "minji", "bora") == ["bora"]
    for x in ("release", "newest", "student", "students", "whole"):
        monkeypatch.delattr(f"hub.edge.courserows.CourseStore.{x}")
    assert room.handouts.all_for("minji") == []


def test_whoever_has_less_of_the_same_release_is_behind(room: Classroom) -> None:
    """The others' answer is not theirs."""
    room.publish(ONE | {"b.txt": b"b"})
    for user in ("minji", "bora"):
        room.given(user)
    assert behind(room, "minji", "bora") == []
    student = room.handouts.student("bora", COURSE)
    assert student is not None
    bases = {k: x for k, x in student.bases.items() if k != "b.txt"}
    room.store.put_student(replace(student, bases=bases))
    assert behind(room, "minji", "bora") == ["bora"]
    assert room.fates("bora") == {"b.txt": "new"}
    assert behind(room, "minji", "bora") == []


def test_what_becomes_visible_later_makes_everybody_behind_when_it_does(room: Classroom) -> None:
    room.publish(ONE | {"b.txt": b"b", "c.txt": b"c"}, later={
        "b.txt": timedelta(hours=1), "c.txt": timedelta(hours=2),
    })
    room.given()
    for hour, name in ((1, "b.txt"), (2, "c.txt")):
        room.now += timedelta(minutes=59)
        assert behind(room, "minji") == []
        room.now += timedelta(minutes=1)
        assert behind(room, "minji") == ["minji"], hour
        assert room.fates() == {name: "new"}
        assert behind(room, "minji") == []


def test_a_withdrawn_release_makes_nobody_behind_and_a_newer_one_does(room: Classroom) -> None:
    for files in (ONE, TWO):
        room.publish(files)
        room.given()
    room.store.withdraw(COURSE, 2, "prof", room.now)
    assert behind(room, "minji", "bora") == ["bora"]
    room.publish(TWO)
    assert behind(room, "minji", "bora") == ["minji", "bora"]


# ---- read-only data in containers ----------------------------------------------------------------


def test_a_container_sees_the_data_of_its_person_s_courses(room: Classroom) -> None:
    data, edges = room.floor.broker.settings.data, room.floor.broker.edges
    room.publish(ONE)
    room.publish(ONE, course="bare")
    room.store.add_release(
        Course("theirs", "x", "elsewhere", "UTC", room.now, "x"),
        replace(room.publishing.release(COURSE, 1), number=0),
    )
    for name in (COURSE, "theirs"):
        (data / "coursedata" / name).mkdir(parents=True)
    mine = data / "coursedata" / COURSE
    assert mounts.courses(data, edges, "minji") == {mine: "/srv/courses/torch"}
    assert mounts.courses(data, edges, "nobody") == {}
    assert list(mounts.courses(data, edges, "other").values()) == ["/srv/courses/theirs"]


# ---- the course that ships -----------------------------------------------------------------------


def shipped(folder: Path) -> Path:
    made = folder / "shipped"
    (made / "__pycache__").mkdir(parents=True)
    (made / "course.toml").write_text('title = "Shipped"\ngroup = "ai"\n')
    (made / "a.md").write_text("hi")
    (made / "__pycache__" / "x.pyc").write_text("no")
    return made


def test_the_course_that_ships_is_published_once(room: Classroom, tmp_path: Path) -> None:
    folder = shipped(tmp_path)
    for _ in range(2):
        firstcourse.publish_shipped(room.floor.broker, GROUP, folder)
    (only,) = room.publishing.releases("shipped")
    assert (only.number, only.by) == (1, "prof")
    assert "a.md" in {x.path for x in only.files}
    assert not any("__pycache__" in x.path for x in only.files)
    assert room.handouts.all_for("minji")
    assert (room.folder(course="shipped") / "a.md").stat().st_uid == UID


@pytest.mark.parametrize("how", ["no instructor", "a course", "broken", "nothing"])
def test_it_is_published_for_nobody_else_and_a_start_never_fails_of_it(
    room: Classroom, tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = shipped(tmp_path)
    if how == "no instructor":
        room.floor.broker.set_members((Member("minji", GROUP, Role.STUDENT),))
    elif how == "a course":
        room.publish(ONE)
    elif how == "broken":
        (folder / "course.toml").write_text("title = ")
    else:
        os.unlink(folder / "course.toml")  # noqa: PTH108 - short
    firstcourse.publish_shipped(room.floor.broker, GROUP, folder)
    assert not room.publishing.releases("shipped")
    assert ("is not published" in caplog.text) is (how == "broken")
