"""Who has links to the read-only data of which release; which releases were withdrawn."""

from dataclasses import replace

import pytest

from hub.core.courses import BaseFact
from hub.edge.courserows import CourseStore
from hub.edge.store import Store
from tests.edge.test_courserows import COURSE, NOW, RELEASE, STUDENT


@pytest.fixture
def kept(store: Store) -> CourseStore:
    return CourseStore(store)


def linked(kept: CourseStore, user: str, target: str, course: str = "torch-101") -> None:
    base = BaseFact("자료/x.csv", "a" * 64, f"link:{target}")
    kept.put_student(replace(STUDENT, user=user, course=course, bases={base.path: base}))


def test_who_has_links_to_a_release_is_told_by_what_was_written(kept: CourseStore) -> None:
    linked(kept, "minji", "/srv/courses/torch-101/1/자료/x.csv")
    linked(kept, "bora", "/srv/courses/torch-101/12/자료/x.csv")
    linked(kept, "ana", "/srv/courses/torch-1011/1/x.csv", "torch-1011")
    kept.put_student(replace(STUDENT, user="ben"))
    assert kept.linked("torch-101", 1) == ["minji"]
    assert kept.linked("torch-101", 12) == ["bora"]
    assert kept.linked("torch-101", 2) == []
    assert kept.linked("torch-1011", 1) == ["ana"]
    linked(kept, "minji", "/srv/courses/torch-101/2/자료/x.csv")
    assert kept.linked("torch-101", 1) == []
    assert kept.linked("torch-101", 2) == ["minji"]


def test_the_withdrawn_releases_of_a_course_are_told_by_number(kept: CourseStore) -> None:
    for _ in range(3):
        kept.add_release(COURSE, RELEASE)
    kept.add_release(replace(COURSE, name="other"), RELEASE)
    assert kept.withdrawn("torch-101") == []
    kept.withdraw("torch-101", 3, "teacher", NOW)
    kept.withdraw("torch-101", 1, "teacher", NOW)
    assert kept.withdrawn("torch-101") == [1, 3]
    assert kept.withdrawn("other") == kept.withdrawn("none") == []
