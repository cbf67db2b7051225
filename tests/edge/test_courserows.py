import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from hub.core.courses import (
    BaseFact,
    CellFate,
    Collection,
    Course,
    FileFact,
    FileFate,
    Handout,
    Release,
    Student,
    Submission,
)
from hub.core.lease import Asked
from hub.edge.courserows import CourseStore, Newest
from hub.edge.store import Store
from hub.errors import BadInput, Text
from tests.edge.store_facts import move, request

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
COURSE = Course("torch-101", "토치 101", "demo", "Asia/Seoul", NOW, "instructor", "1g.5gb")
FACTS = (
    FileFact("week1/tensors.ipynb", "a" * 64, 1200, notebook=True),
    FileFact("data/digits.csv", "b" * 64, 8 << 30, data=True),
    FileFact("week2/run.sh", "c" * 64, 0, visible_from=NOW + timedelta(days=7), executable=True),
)
RELEASE = Release("torch-101", 0, "f" * 40, "instructor", NOW, "첫 주", FACTS)
STUDENT = Student("torch-101", "minji", 1, 1, 0, {
    "a.ipynb": BaseFact("a.ipynb", "a" * 64, "b" * 64),
    "b.txt": BaseFact("b.txt", "c" * 64, "", "d"),
})
HANDOUT = Handout("torch-101", "minji", 1, NOW, 1, (
    FileFate("a.ipynb", "merged", (
        CellFate("c1", "beside", Text("kept of {who}", who=Text("you")), "x = 1\n", "x = 2"),
        CellFate("c2", "taken"),
    )),
    FileFate("b.txt", "beside", beside="b.new.txt", note=Text("it has {size} MiB", size=3)),
))


@pytest.fixture
def kept(store: Store) -> Iterator[CourseStore]:
    return CourseStore(store)


def test_a_release_reads_as_it_was_written_and_gets_the_next_number(kept: CourseStore) -> None:
    first = kept.add_release(COURSE, RELEASE)
    second = kept.add_release(COURSE, replace(RELEASE, number=2, notes="둘째"))
    assert [first.number, second.number] == [1, 2]
    assert first == replace(RELEASE, number=1)
    assert kept.releases("torch-101") == [second, first]
    assert kept.release("torch-101", 1) == first
    assert kept.release("torch-101", 3) is None
    assert kept.newest("torch-101") == second
    assert kept.course("torch-101") == COURSE


def test_a_number_that_is_not_the_next_is_refused_and_leaves_nothing(kept: CourseStore) -> None:
    kept.add_release(COURSE, RELEASE)
    for number in (1, 3):
        with pytest.raises(BadInput) as refused:
            kept.add_release(replace(COURSE, title="other"), replace(RELEASE, number=number))
        assert refused.value.status == 409
    assert len(kept.releases("torch-101")) == 1
    assert kept.course("torch-101") == COURSE


def test_publishers_at_the_same_time_never_make_one_number_twice(url: str) -> None:
    stores = [Store(url) for _ in range(3)]
    stores[0].upgrade()
    made: list[int] = []

    def publish(store: Store) -> None:
        made.extend(CourseStore(store).add_release(COURSE, RELEASE).number for _ in range(5))

    threads = [threading.Thread(target=publish, args=(x,)) for x in stores for _ in range(2)]
    for x in threads:
        x.start()
    for x in threads:
        x.join()
    assert sorted(made) == list(range(1, 31))
    for store in stores:
        store.close()


def test_a_release_changes_what_the_course_says_but_not_who_made_it(kept: CourseStore) -> None:
    kept.add_release(COURSE, RELEASE)
    hand = {"made_by": "other", "made_at": NOW.replace(year=2027)}
    later = replace(COURSE, title="Torch", group="ai-2026", **hand)
    kept.add_release(later, RELEASE)
    assert kept.course("torch-101") == replace(COURSE, title="Torch", group="ai-2026")
    assert kept.courses(["demo"]) == []
    assert [x.name for x in kept.courses(["ai-2026"])] == ["torch-101"]


def test_a_withdrawn_release_is_the_newest_no_more_and_keeps_its_number(kept: CourseStore) -> None:
    for _ in range(2):
        kept.add_release(COURSE, RELEASE)
    gone = kept.withdraw("torch-101", 2, "instructor", NOW)
    assert gone is not None
    assert (gone.withdrawn_at, gone.withdrawn_by) == (NOW, "instructor")
    again = kept.withdraw("torch-101", 2, "other", NOW + timedelta(1))
    assert again == gone
    newest = kept.newest("torch-101")
    assert newest is not None
    assert newest.number == 1
    assert kept.add_release(COURSE, RELEASE).number == 3
    assert kept.withdraw("torch-101", 9, "instructor", NOW) is None
    assert kept.withdraw("none", 1, "instructor", NOW) is None


def test_where_somebody_stands_comes_with_one_look(kept: CourseStore) -> None:
    kept.add_release(COURSE, RELEASE)
    newest = kept.add_release(COURSE, replace(RELEASE, at=NOW + timedelta(days=1)))
    kept.put_student(STUDENT)
    kept.put_student(replace(STUDENT, user="bora", held_at=2))
    kept.add_release(replace(COURSE, name="other", group="staff"), RELEASE)
    empty = kept.add_release(replace(COURSE, name="bare"), RELEASE)
    kept.withdraw("bare", empty.number, "x", NOW)
    tops, stood = kept.standing(["demo"], "minji")
    assert tops == [Newest("bare", "demo"), Newest("torch-101", "demo", 2, newest.at)]
    (mine,) = stood.values()
    assert stood.keys() == {("minji", "torch-101")}
    assert (mine.release, mine.update, mine.held_at) == (1, 1, 0)
    assert kept.standing([], "nobody") == ([], {})
    tops, stood = kept.standing()
    assert [(x.course, x.number) for x in tops] == [("bare", 0), ("other", 1), ("torch-101", 2)]
    assert {k: x.held_at for k, x in stood.items()} == {
        ("minji", "torch-101"): 0, ("bora", "torch-101"): 2,
    }


def test_who_has_the_same_is_known_by_one_word(kept: CourseStore) -> None:
    def word(**bases: BaseFact) -> str:
        kept.put_student(replace(STUDENT, bases=bases))
        return kept.standing()[1]["minji", "torch-101"].has

    given = BaseFact("a", "1", "1")
    one = word(a=given)
    assert word(a=replace(given, written="merged:2")) == one  # they have the same of the release
    others = [
        word(), word(a=replace(given, sha256="2")), word(a=replace(given, beside="2")),
        word(a=replace(given, written="link:/x")), word(b=replace(given, path="b")),
        word(a=given, b=replace(given, path="b")),
    ]
    assert len({one, *others}) == 1 + len(others)


def test_somebody_who_stands_elsewhere_by_now_is_not_taken_for_who_stood_there(
    kept: CourseStore
) -> None:
    kept.put_student(STUDENT)
    stood = kept.standing()[1]["minji", "torch-101"]
    assert kept.whole(stood) == STUDENT
    kept.put_student(replace(STUDENT, bases={}))
    assert kept.whole(stood) is None


def test_what_is_asked_of_everybody_reads_no_row_with_files(kept: CourseStore) -> None:
    """SQLite reads through all that lies before a column, and `bases` may be a megabyte."""
    if kept._store._file is None:
        return
    asked: list[str] = []
    engine = kept._store._database._engine
    sa.event.listen(engine, "before_cursor_execute", lambda *x: asked.append(x[2]))
    kept.standing()
    kept.standing(["demo"], "minji")
    found = [x for x in asked if "FROM students" in x]
    assert len(found) == 2
    with kept._store.beside() as c:
        for x in found:
            (step,) = c.exec_driver_sql(f"EXPLAIN QUERY PLAN {x}", ("minji",) * x.count("?"))
            assert "USING COVERING INDEX students_in_short" in step[3]


def test_a_handout_reads_as_it_was_written(kept: CourseStore) -> None:
    before = Student("torch-101", "minji", 0, 0)
    kept.put_handout(STUDENT, HANDOUT, before)
    assert kept.student("minji", "torch-101") == STUDENT
    found = kept.handout("minji", "torch-101", 1)
    assert found is not None
    made, was = found
    assert was == before
    assert [(x.path, x.fate, x.beside) for x in made.files] == [
        ("a.ipynb", "merged", ""), ("b.txt", "beside", "b.new.txt"),
    ]
    (cell, other) = made.files[0].cells
    assert (cell.id, cell.fate, str(cell.why)) == ("c1", "beside", "kept of you")
    assert (cell.source_before, cell.source_after) == ("x = 1\n", "x = 2")
    assert other == HANDOUT.files[0].cells[1]
    assert isinstance(made.files[1].note, Text)
    assert str(made.files[1].note) == "it has 3 MiB"
    assert kept.handout("minji", "torch-101", 2) is None
    assert kept.student("bora", "torch-101") is None


def test_a_handout_that_was_cut_short_is_written_again(kept: CourseStore) -> None:
    before = Student("torch-101", "minji", 0, 0)
    kept.put_handout(STUDENT, HANDOUT, before)
    kept.put_handout(STUDENT, replace(HANDOUT, files=()), before)
    assert [x.files for x in kept.handouts("minji", "torch-101")] == [()]


def test_where_somebody_stood_before_is_forgotten_of_old_updates(kept: CourseStore) -> None:
    for update in (1, 2, 3, 4):
        kept.put_handout(STUDENT, replace(HANDOUT, user="bora", update=update), STUDENT)
        kept.put_handout(STUDENT, replace(HANDOUT, update=update), STUDENT, update - 2)

    def before(user: str) -> list[Student | None]:
        found = [kept.handout(user, "torch-101", x) for x in (1, 2, 3, 4)]
        return [x[1] for x in found if x]

    assert before("minji") == [None, None, STUDENT, STUDENT]
    assert before("bora") == [STUDENT] * 4
    assert [len(x.files) for x in kept.handouts("minji", "torch-101")] == [2] * 4
    with kept._store.beside() as c:
        sizes = c.exec_driver_sql(
            """SELECT length("before") FROM handouts WHERE "user" = 'minji'"""
        )
        assert sum(x[0] > 2 for x in sizes) == 2


def test_a_list_of_updates_reads_no_copy_of_what_was_there_before(kept: CourseStore) -> None:
    kept.put_handout(STUDENT, HANDOUT, STUDENT)
    kept._store.change_beside(lambda c: c.exec_driver_sql("UPDATE handouts SET before = 'no'"))
    assert len(kept.handouts("minji", "torch-101")) == 1


def test_an_undone_handout_is_marked_and_no_longer_the_last(kept: CourseStore) -> None:
    before = Student("torch-101", "minji", 0, 0)
    kept.put_handout(STUDENT, HANDOUT, before)
    second = replace(STUDENT, release=2, update=2)
    later = NOW + timedelta(hours=1)
    kept.put_handout(second, replace(HANDOUT, release=2, update=2, at=later), STUDENT)
    assert kept.last_times("torch-101") == {"minji": later}
    kept.undone(replace(STUDENT, update=2, held_at=2), 2, NOW)
    assert [(x.update, x.undone_at) for x in kept.handouts("minji", "torch-101")] == [
        (2, NOW), (1, None),
    ]
    assert kept.last_times("torch-101") == {"minji": NOW}
    assert kept.student("minji", "torch-101") == replace(STUDENT, update=2, held_at=2)
    assert [x.user for x in kept.students("torch-101")] == ["minji"]


def test_collections_and_what_was_handed_in(kept: CourseStore) -> None:
    made = Collection("c1", "torch-101", "과제 1", "week1", NOW, "instructor", NOW)
    kept.put_collection(made)
    later = replace(made, id="c2", name="hw2", due=NOW + timedelta(1))
    kept.put_collection(later)
    with pytest.raises(BadInput) as refused:
        kept.put_collection(replace(later, name="과제 1"))
    assert refused.value.status == 409
    assert kept.collections("torch-101") == [made, later]
    assert kept.collections_due(NOW) == [made]
    kept.put_collection(replace(made, taken_at=NOW))
    assert kept.collections_due(NOW) == []
    assert kept.collection("torch-101", "과제 1") == replace(made, taken_at=NOW)
    one = Submission("c1", "minji", 3, 8 << 30, NOW)
    kept.put_submissions([one, replace(one, user="bora", problem="no folder")])
    kept.put_submissions([replace(one, files=4)])
    assert [(x.user, x.files) for x in kept.submissions("c1")] == [("bora", 3), ("minji", 4)]
    kept.put_submissions([replace(one, returned_at=NOW)])
    assert kept.submissions("c1", "minji") == [replace(one, returned_at=NOW)]
    assert kept.submissions("c1", "nobody") == []
    kept.drop_collection("c1")
    assert kept.submissions("c1") == []
    assert kept.collection("torch-101", "과제 1") is None


def test_a_write_of_courses_leaves_the_line_s_state_and_version(
    store: Store, kept: CourseStore
) -> None:
    move(store, Asked(request("a")))
    before = store.read()
    kept.add_release(COURSE, RELEASE)
    kept.put_handout(STUDENT, HANDOUT, replace(STUDENT, update=0))
    assert store.read() is before
