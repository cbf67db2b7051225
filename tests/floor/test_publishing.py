"""Publishing: blobs, then the store, then what members see."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hub.core.courses import Author
from hub.errors import BadInput, NotFound, Refusal
from hub.publishing import Publishing
from tests.edge.pushing import Work
from tests.face.running import NOTEBOOK
from tests.floor.floors import floor_at
from tests.floor.publishings import BOOK, SCHEDULE, TEACHER, TOML, House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with floor_at(tmp_path) as floor:
        yield House(floor)


def test_a_release_is_out_with_number_files_and_notes(house: House) -> None:
    made = house.publish({"a.ipynb": BOOK, "x/help.py": b"x = 1\n"})
    assert (made.number, made.by, made.notes) == (1, "teacher", "new things")
    assert [x.path for x in made.files] == ["a.ipynb", "x/help.py"]
    assert house.publishing.release("torch", 1) == made
    assert house.publishing.newest("torch") == made
    course = house.publishing.course("torch")
    assert (course.title, course.group, course.made_by) == ("Torch", "ml", "teacher")
    assert [x.name for x in house.publishing.courses("ana")] == ["torch"]
    assert house.publishing.courses("nobody") == []
    assert house.publishing.blob(made.files[1].sha256) == b"x = 1\n"
    assert house.publishing.repo("torch").tip() == made.commit


def test_the_folder_of_courses_is_roots_alone(house: House) -> None:
    house.publish()
    assert house.publishing.root.stat().st_mode & 0o777 == 0o700


def test_the_next_one_carries_ids_over_and_the_first_stays_as_it_was(house: House) -> None:
    bare = {k: x for k, x in NOTEBOOK["cells"][0].items() if k != "id"}
    book = json.dumps({**NOTEBOOK, "cells": [bare]}).encode()
    more = json.dumps({**NOTEBOOK, "cells": [{**bare, "source": "new"}, bare]}).encode()
    one = house.publish({"a.ipynb": book})
    two = house.publish({"a.ipynb": more, "b.txt": b"b"}, toml=TOML.replace("Torch", "Flax"))
    ids = [
        [x["id"] for x in json.loads(house.publishing.blob(r.files[0].sha256))["cells"]]
        for r in (one, two)
    ]
    assert ids[1][1] == ids[0][0]
    assert house.publishing.release("torch", 1) == one
    assert [x.number for x in house.publishing.releases("torch")] == [2, 1]
    assert house.publishing.course("torch").title == "Flax"
    repo = house.publishing.repo("torch")
    assert repo.keeps(two.commit, one.commit)


def test_members_read_what_was_normalised_and_nothing_of_what_only_instructors_have(
    house: House
) -> None:
    house.publish({"a.ipynb": BOOK, "sol/a.ipynb": BOOK}, toml=TOML + 'ignore = ["sol"]\n')
    assert set(house.members()) == {"a.ipynb"}
    assert house.members()["a.ipynb"] == house.publishing.blob(
        house.publishing.release("torch", 1).files[0].sha256)


def test_what_is_not_visible_yet_comes_when_its_time_has_come(house: House) -> None:
    day = house.clock.now.date() + timedelta(days=2)
    toml = TOML + f'data = ["data"]\n[visible]\n"week2" = {day}\n"data/two" = {day}\n'
    house.publish({
        "a.txt": b"1", "week2/b.txt": b"2", "data/one": b"1", "data/two": b"2",
    }, toml)
    assert set(house.members()) == {"a.txt", "data/one"}
    assert house.data() == {"1/data/one"}
    house.publishing.recover()
    assert set(house.members()) == {"a.txt", "data/one"}
    house.clock.now += timedelta(days=2)
    house.publishing.recover()
    assert set(house.members()) == {"a.txt", "week2/b.txt", "data/one", "data/two"}
    assert house.data() == {"1/data/one", "1/data/two"}
    objects = Work(house.publishing.root.parent / "look")
    objects("fetch", "-q", str(house.publishing.members_repo("torch").path), "main")
    assert objects("rev-list", "--count", "FETCH_HEAD") == "2"


def test_an_object_that_is_not_visible_yet_is_not_in_the_members_repository(house: House) -> None:
    """Git serves any object to whoever knows its name."""
    house.publish({"a.txt": b"1", "b.txt": b"secret"}, TOML + '[visible]\n"b.txt" = 2999-01-01\n')
    work = Work(house.publishing.root.parent / "look")
    blob = work.blob(b"secret")
    work("fetch", "-q", str(house.publishing.repo("torch").path), "main")
    repo = house.publishing.members_repo("torch").path
    assert work.run(f"--git-dir={repo}", "cat-file", "-e", blob).returncode != 0


def test_a_service_that_begins_anew_shows_what_became_visible_meanwhile(house: House) -> None:
    day = house.clock.now.date() + timedelta(days=2)
    house.publish({"a": b"1", "b": b"2"}, TOML + f'[visible]\n"b" = {day}\n')
    house.clock.now += timedelta(days=3)
    Publishing(house.floor.broker, clock=house.clock).recover()
    assert set(house.members()) == {"a", "b"}


def test_data_is_readable_by_all_and_writable_by_nobody(house: House) -> None:
    made = house.publish({"a": b"1", "data/x.csv": b"1,2"}, TOML + 'data = ["data/**"]\n')
    top = house.publishing.root.parent / "coursedata" / "torch"
    file = top / "1/data/x.csv"
    assert file.stat().st_mode & 0o777 == 0o444
    assert {x.stat().st_mode & 0o777 for x in (top, top / "1", top / "1/data")} == {0o755}
    assert file.stat().st_ino == house.publishing.blobs.path(made.files[1].sha256).stat().st_ino


def test_a_withdrawn_release_is_nobodys_and_is_not_to_be_read_any_more(house: House) -> None:
    house.publish({"a": b"1"})
    house.publish({"a": b"1", "leak": b"oh no"})
    gone = house.publishing.withdraw("torch", 2, "teacher")
    assert gone.withdrawn_by == "teacher"
    newest = house.publishing.newest("torch")
    assert newest is not None
    assert newest.number == 1
    assert set(house.members()) == {"a"}
    work = Work(house.publishing.root.parent / "look")
    repo = house.publishing.members_repo("torch").path
    assert work.run(f"--git-dir={repo}", "cat-file", "-e", work.blob(b"oh no")).returncode != 0
    house.publishing.withdraw("torch", 1, "teacher")
    assert house.publishing.newest("torch") is None
    assert house.publishing.members_repo("torch").tip() == ""
    assert house.publish({"a": b"3"}).number == 3
    assert house.members() == {"a": b"3"}
    with pytest.raises(NotFound):
        house.publishing.withdraw("torch", 9, "teacher")
    with pytest.raises(NotFound):
        house.publishing.withdraw("none", 1, "teacher")


def test_what_has_problems_is_not_published_and_changes_nothing(house: House) -> None:
    first = house.publish()
    draft = house.publishing.check({"a": b"1"}, TEACHER, "torch")
    assert not draft.ok
    with pytest.raises(Refusal, match="1 problems"):
        house.publishing.publish(draft)
    assert house.publishing.releases("torch") == [first]
    assert house.publishing.repo("torch").tip() == first.commit


@pytest.mark.parametrize("name", ["", "../x", "A", "-a", "x" * 41, "a/b", ".blobs", "a\n", "é"])
def test_no_course_is_called_so(house: House, name: str) -> None:
    with pytest.raises(BadInput):
        house.publishing.check({"course.toml": TOML.encode(), "a": b""}, TEACHER, name)
    with pytest.raises(NotFound):
        house.publishing.course(name)


def test_a_course_does_not_go_to_another_group_without_its_instructor(house: House) -> None:
    house.publish()
    other = Author("thief", frozenset({"vision"}))
    sent = {"course.toml": TOML.replace("ml", "vision").encode(), "a": b"1"}
    assert not house.publishing.check(sent, other, "torch").ok
    both = house.publishing.check(sent, TEACHER, "torch")
    assert both.ok
    house.publishing.publish(both)
    assert house.publishing.course("torch").group == "vision"


def test_who_is_slower_is_told_and_nothing_of_the_faster_is_lost(house: House) -> None:
    house.publish()
    slow = house.publishing.check({"course.toml": TOML.encode(), "a": b"slow"}, TEACHER, "torch")
    house.publish({"a": b"fast"})
    with pytest.raises(Refusal) as told:
        house.publishing.publish(slow)
    assert told.value.status == 409
    assert house.members() == {"a": b"fast"}


def test_of_who_is_slower_at_the_last_moment_no_file_is_left(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.publish({"a": b"0"})
    slow = house.publishing.check({
        "course.toml": TOML.encode(), "a": b"both", "b": b"slow",
    }, TEACHER, "torch")
    real = house.publishing.alone

    def alone(course: str) -> Any:
        monkeypatch.setattr(house.publishing, "alone", real)
        house.publish({"a": b"both"})
        return real(course)

    monkeypatch.setattr(house.publishing, "alone", alone)
    with pytest.raises(Refusal):
        house.publishing.publish(slow)
    blobs = [x.read_bytes() for x in house.publishing.blobs.root.rglob("*") if x.is_file()]
    assert sorted(blobs) == [b"0", b"both"]


def test_of_two_that_compared_with_the_same_release_one_is_out(house: House) -> None:
    house.publish({"a": b"0"})
    drafts = [house.publishing.check(
        {"course.toml": TOML.encode(), "a": b"0", f"new{i}": b"x"}, TEACHER, "torch"
    ) for i in range(4)]
    found: list[Any] = []

    def publish(draft: Any) -> None:
        try:
            found.append(house.publishing.publish(draft).number)
        except Refusal as e:
            found.append(e.status)

    threads = [threading.Thread(target=publish, args=(x,)) for x in drafts]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(found) == [2, 409, 409, 409]


def test_many_publish_at_once_and_each_number_is_given_once(house: House) -> None:
    found: list[Any] = []

    def publish(i: int) -> None:
        try:
            found.append(house.publish({"a": str(i).encode()}).number)
        except Refusal as e:
            found.append(e.status)

    threads = [threading.Thread(target=publish, args=(i,)) for i in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    numbers = sorted(x for x in found if x != 409)
    assert numbers == list(range(1, len(numbers) + 1))
    assert numbers
    newest = house.publishing.newest("torch")
    assert newest is not None
    assert house.publishing.repo("torch").tip() == newest.commit


# ---- schedules -----------------------------------------------------------------------------------


def test_a_courses_schedules_are_kept_and_go_with_the_release_that_has_them_no_more(
    house: House
) -> None:
    house.publish(toml=TOML + SCHEDULE)
    (one,) = house.schedules.list(source="course:torch")
    assert (one.user, one.name, one.notebook) == ("teacher", "nightly", "a.ipynb")
    with pytest.raises(Refusal, match="stands in torch"):
        house.schedules.remove(one.id)
    house.publish(toml=TOML + SCHEDULE.replace("0 2", "0 3"))
    (two,) = house.schedules.list(source="course:torch")
    assert (two.id, two.cron) == (one.id, "0 3 * * *")
    house.publish()
    assert house.schedules.list(source="course:torch") == []


@pytest.mark.parametrize(("old", "new", "line", "says"), [
    ("a.ipynb", "b.ipynb", 6, "no notebook 'b.ipynb'"), ("0 2", "61 2", 7, "61"),
    ("1g.5gb", "9g.99gb", 8, "9g.99gb"),
    ('"0 2 * * *"', '"0 2 * * *"\nparameters = { lr = 1 }', 8, "lr"),
    ('"0 2 * * *"', '"0 2 * * *"\nimage = "evil:latest"', 8, "evil"),
])
def test_a_bad_schedule_refuses_the_release_with_its_line(
    house: House, old: str, new: str, line: int, says: str
) -> None:
    sent = {"course.toml": (TOML + SCHEDULE.replace(old, new)).encode(), "a.ipynb": BOOK}
    draft = house.publishing.check(sent, TEACHER, "torch")
    assert not draft.ok
    (problem,) = (x for x in draft.problems if x.fatal)
    assert (problem.path, problem.line) == ("course.toml", line)
    assert says in str(problem.message)


def test_a_service_that_publishes_has_no_schedules(house: House) -> None:
    sent = {"course.toml": (TOML + SCHEDULE).encode(), "a.ipynb": BOOK}
    draft = house.publishing.check(sent, Author("madang-host", operator=True), "torch")
    assert "published by a person" in str(draft.problems[0].message)
