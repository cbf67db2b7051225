"""New versions that wait beside a student's cells: taken, or not."""

import json
from copy import deepcopy
from typing import Any

import nbformat
import pytest

from hub.core.course import Unreadable, beside_of, executed, keep, merge, take
from hub.errors import BadInput
from tests.core.coursecases import at, book, cell, drop, put, run, source

Book = dict[str, Any]
GRADER = {"grade_id": "q1", "points": 3}
ONE = book(cell("m1", "# Title"), cell("c1", "x = 1"), cell("c2", "y = 2"))
ONE["cells"][1]["metadata"] = {"nbgrader": GRADER, "deletable": False}


def _changed(text: str) -> Book:
    found = deepcopy(ONE)
    found["cells"][1]["source"] = text
    return found


def conflict() -> Book:
    mine = _changed("x = 3")
    run(mine, "c1")
    return merge(ONE, _changed("x = 2"), mine, release=2).notebook


def shown() -> Book:
    mine = deepcopy(ONE)
    drop(mine, "c1")
    return merge(ONE, _changed("x = 2"), mine, release=2).notebook


def _ids(found: Book) -> list[str]:
    return [x["id"] for x in found["cells"]]


def test_what_waits_is_named_with_its_new_version() -> None:
    assert beside_of(conflict()) == (("c1", "c1-new"),)
    assert beside_of(shown()) == (("c1", "c1-new"),)
    assert beside_of(ONE) == ()


def test_a_student_who_deleted_their_cell_beside_a_new_version_has_spoken() -> None:
    found = conflict()
    drop(found, "c1")
    assert beside_of(found) == ()


def test_take_puts_the_instructors_version_into_the_students_place() -> None:
    before = conflict()
    found = take(before, "c1")
    nbformat.validate(found)
    assert _ids(found) == _ids(ONE)
    taken = found["cells"][1]
    assert (taken["source"], taken["outputs"], taken["execution_count"]) == ("x = 2", [], None)
    assert taken["metadata"] == {"nbgrader": GRADER, "deletable": False}
    assert _ids(before) == ["m1", "c1", "c1-new", "c2"], "what was given is changed"
    new = _changed("x = 2")
    assert merge(new, new, found).cells == ()


def test_keep_leaves_the_students_cell_with_its_outputs() -> None:
    before = conflict()
    found = keep(before, "c1")
    assert _ids(found) == _ids(ONE)
    assert found["cells"][1] == before["cells"][1]
    assert found["cells"][1]["outputs"]
    new = _changed("x = 2")
    assert [x.fate for x in merge(new, new, found).cells] == ["kept"]


def test_a_shown_cell_is_taken_back_as_it_was_or_stays_deleted() -> None:
    found = take(shown(), "c1")
    nbformat.validate(found)
    assert found["cells"][1]["metadata"] == {"nbgrader": GRADER, "deletable": False}
    assert _ids(found) == _ids(ONE)
    assert source(found, "c1") == "x = 2"
    assert _ids(keep(shown(), "c1")) == ["m1", "c2"]


def test_take_changes_the_kind_too() -> None:
    new = deepcopy(ONE)
    new["cells"][1] = {**cell("m", "Now a text."), "id": "c1"}
    found = take(merge(ONE, new, _changed("x = 3")).notebook, "c1")
    nbformat.validate(found)
    assert found["cells"][1]["cell_type"] == "markdown"
    assert "outputs" not in found["cells"][1]


def test_a_version_that_the_student_worked_on_is_taken_as_it_is_now() -> None:
    before = conflict()
    before["cells"][at(before, "c1-new")]["source"] = "x = 2  # and mine"
    assert source(take(before, "c1"), "c1") == "x = 2  # and mine"


@pytest.mark.parametrize("verb", [take, keep])
@pytest.mark.parametrize("id", ["c2", "c1-new", "nobody", "", "../x", "\ud800"], ids=repr)
def test_a_cell_without_a_new_version_is_refused(verb: Any, id: str) -> None:
    with pytest.raises(BadInput) as refused:
        verb(conflict(), id)
    assert refused.value.reason == "no-new-version"


@pytest.mark.parametrize("verb", [take, keep])
@pytest.mark.parametrize("broken", [None, [], {}, {"cells": [1], "nbformat": 4}], ids=str)
def test_what_is_no_notebook_is_refused(verb: Any, broken: Any) -> None:
    with pytest.raises(Unreadable):
        verb(broken, "c1")
    assert beside_of(broken) == ()
    assert executed(broken) == (0, 0)


def test_how_far_a_notebook_was_run() -> None:
    assert executed(ONE) == (0, 2)
    assert executed(conflict()) == (1, 2)
    found = deepcopy(ONE)
    run(found)
    put(found, "c2", cell("c3", ""), cell("c4", "  \n"))
    assert executed(found) == (2, 2)
    for count, bad in zip(found["cells"][1:3], (True, "7"), strict=True):
        count["execution_count"] = bad
    assert executed(found) == (0, 2)


def test_several_wait_and_each_is_answered_alone() -> None:
    new, mine = _changed("x = 2"), _changed("x = 3")
    new["cells"][2]["source"], mine["cells"][2]["source"] = "y = 20", "y = 30"
    both = merge(ONE, new, mine)
    assert both.conflicts == 2
    one = take(both.notebook, "c2")
    assert beside_of(one) == (("c1", "c1-new"),)
    assert [x["source"] for x in keep(one, "c1")["cells"]] == ["# Title", "x = 3", "y = 20"]
    assert "madang" not in json.dumps(keep(one, "c1"))
