"""`kill -9` at every step of a handout: each file is the old or the new one, and none is lost."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.floor.classes import Classroom, cells
from tests.floor.handout_worker import USER
from tests.house.sources import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
MOST = 2000
PARTS = 3  # of all steps: workers of a test run share them
ONE = {
    "w/a.ipynb": cells(t="# A", a="x = 1", b="y = 2"), "same.ipynb": cells(a="1"),
    "plain.ipynb": cells(a="1"), "gone/g.txt": b"g", "c.txt": b"1",
}
TWO = {
    "w/a.ipynb": cells(t="# A", a="x = 10", b="y = 2", c="z"), "same.ipynb": cells(a="1"),
    "plain.ipynb": cells(a="2"), "c.txt": b"2", "new/n.txt": b"n",
}


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Callable[[str, str, int], str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.floor.handout_worker", str(tmp_path)], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )

    def call(verb: str, course: str, step: int) -> str:
        assert process.stdin
        assert process.stdout
        process.stdin.write(f"{verb} {course} {step}\n")
        process.stdin.flush()
        return process.stdout.readline().strip()

    yield call
    assert process.stdin
    assert process.stdout
    process.stdin.close()
    process.stdout.close()
    process.wait(60)


def prepare(room: Classroom, course: str) -> dict[str, str]:
    """A student with release 1 and work of their own; what they have."""
    room.publish(ONE, data={"d/x.csv": b"1"}, course=course)
    assert room.handouts.hand_out(USER, course)
    top = room.folder(course=course)
    for path, old, new in (
        ("w/a.ipynb", "x = 1", "x = 'mine'"), ("same.ipynb", '"1"', '"mine"'), ("c.txt", "1", "my"),
    ):
        (top / path).write_text((top / path).read_text().replace(old, new))
    before = found(room, course)
    room.publish(TWO, data={"d/x.csv": b"2"}, course=course)
    return before


def found(room: Classroom, course: str, *, left: bool = False) -> dict[str, str]:
    """Path → text, or where a link points; `left`: without what a kill may leave aside."""
    top = room.folder(course=course)
    return {
        str(x.relative_to(top)): str(x.readlink()).replace(course, "COURSE")
        if x.is_symlink() else x.read_text()
        for x in sorted(top.rglob("*"))
        if not x.is_dir() and ".course-backup" not in x.parts
        and not (left and x.name.startswith(".madang-"))
    }


@pytest.mark.parametrize("part", range(PARTS))
def test_a_killed_handout_and_a_killed_undo_lose_nothing(
    room: Classroom, worker: Callable[[str, str, int], str], part: int
) -> None:
    before = prepare(room, "whole")
    assert worker("hand_out", "whole", MOST) == "done"
    after = found(room, "whole")
    assert after != before
    assert worker("undo", "whole", MOST) == "done"
    assert found(room, "whole") == before
    places = set()
    said = ""
    for step in range(1 + part, MOST, PARTS):
        course = f"c{step}"
        prepare(room, course)
        said = worker("hand_out", course, step)
        either(found(room, course, left=True), before, after, said)
        room.handouts.hand_out(USER, course)
        assert found(room, course) == after, said
        made = room.handouts.updates(USER, course)
        assert [(x.update, x.release) for x in made] == [(2, 2), (1, 1)], said
        undone(room, worker, course, step, before, after)
        if said == "done":
            break
        places.add(said)
    assert said == "done"
    assert step > 100
    assert len(places) > 15, places


def undone(
    room: Classroom, worker: Callable[[str, str, int], str], course: str, step: int,
    before: dict[str, str], after: dict[str, str],
) -> None:
    said = worker("undo", course, step)
    either(found(room, course, left=True), before, after, said)
    if course in room.handouts.due(USER):
        assert room.handouts.hand_out(USER, course) is None
    made = room.handouts.updates(USER, course)
    student = room.handouts.student(USER, course)
    assert student
    if made[0].undone_at is None:
        assert found(room, course) == after, said
        assert student.release == 2
        room.handouts.undo(USER, course, 2)
    assert found(room, course) == before, said
    student = room.handouts.student(USER, course)
    assert student
    assert (student.release, student.held_at) == (1, 2)
    assert course not in room.handouts.due(USER)


def either(
    now: dict[str, str], before: dict[str, str], after: dict[str, str], said: str
) -> None:
    assert said == "done" or said.startswith("killed"), said
    for path in now.keys() | before.keys() | after.keys():
        assert now.get(path) in (before.get(path), after.get(path)), (path, said)
