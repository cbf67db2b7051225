"""The merge of a release into a student's notebook: releases in a row, order, what cells have."""

import json
from copy import deepcopy

import nbformat

from hub.core.course import beside_of, merge
from tests.core.coursecases import (
    Book,
    book,
    cell,
    changed,
    drop,
    edit,
    fates,
    ids,
    made,
    move,
    put,
    run,
    source,
)

ONE = made(m1="# Title", c1="x = 1", c2="y = 2", m2="Answer:")


# ---- several releases ----------------------------------------------------------------------------


def test_a_new_version_is_replaced_by_a_newer_one_and_not_stacked() -> None:
    mine, base = changed(ONE, m2="Answer: mine"), ONE
    for number in (2, 3, 4):
        new = changed(ONE, m2=f"Answer, edition {number}:")
        mine = merge(base, new, mine, release=number).notebook
        assert ids(mine) == ["m1", "c1", "c2", "m2", "m2-new"]
        assert source(mine, "m2") == "Answer: mine"
        assert source(mine, "m2-new") == f"Answer, edition {number}:"
        assert mine["cells"][-1]["metadata"]["madang"] == {
            "new_version_of": "m2", "release": number}
        base = new


def test_a_new_version_stays_while_the_student_does_nothing_and_the_instructor_neither() -> None:
    new = changed(ONE, m2="Answer, please:")
    mine = merge(ONE, new, changed(ONE, m2="Answer: mine")).notebook
    found = merge(new, changed(new, c1="x = 10"), mine)
    assert fates(found) == [("c1", "taken"), ("m2", "kept")]
    assert found.conflicts == 1


def test_what_the_student_resolved_comes_back_only_when_it_was_changed_again() -> None:
    second = changed(ONE, m2="Answer, please:")
    mine = merge(ONE, second, changed(ONE, m2="Answer: mine")).notebook
    drop(mine, "m2-new")
    third = changed(second, c1="x = 3")
    mine = merge(second, third, mine).notebook
    assert ids(mine) == ids(ONE)
    fourth = merge(third, changed(third, m2="Answer in two lines:"), mine)
    assert ids(fourth) == [*ids(ONE), "m2-new"]


def test_a_student_who_deletes_their_own_cell_has_taken_the_instructors() -> None:
    second = changed(ONE, c1="x = 2")
    mine = merge(ONE, second, changed(ONE, c1="x = 3")).notebook
    drop(mine, "c1")
    third = changed(second, c1="x = 4")
    found = merge(second, third, mine)
    assert source(found.notebook, "c1") == "x = 4"
    assert ids(found) == ids(ONE)
    assert "madang" not in found.notebook["cells"][1]["metadata"]


def test_a_student_who_works_in_the_new_version_keeps_that_too() -> None:
    second = changed(ONE, c1="x = 2")
    mine = merge(ONE, second, changed(ONE, c1="x = 3")).notebook
    edit(mine, "c1-new", "x = 2", "x = 2  # mine now")
    third = changed(second, c1="x = 4")
    found = merge(second, third, mine)
    assert [x["source"] for x in found.notebook["cells"]] == [
        "# Title", "x = 3", "x = 4", "x = 2  # mine now", "y = 2", "Answer:"]
    assert found.conflicts == 1
    same = merge(second, changed(second, c2="y = 3"), mine)
    assert ids(same) == ["m1", "c1", "c1-new", "c2", "m2"]


def test_no_lines_are_put_together_while_a_new_version_waits() -> None:
    """The student's cell does not have that one's changes: a merge would undo them in silence."""
    one = made(c1="a = 1\n\nb = 2\n\nc = 3")
    two = made(c1="a = 10\n\nb = 2\n\nc = 3")
    three = made(c1="a = 10\n\nb = 2\n\nc = 30")
    mine = merge(one, two, made(c1="a = 5\n\nb = 2\n\nc = 3")).notebook
    assert fates(merge(two, three, mine)) == [("c1", "beside")]
    drop(mine, "c1-new")
    resolved = merge(two, three, mine)
    assert fates(resolved) == [("c1", "line-merged")]
    assert source(resolved.notebook, "c1") == "a = 5\n\nb = 2\n\nc = 30"


def test_a_conflict_ends_when_both_say_the_same() -> None:
    second = changed(ONE, c1="x = 2")
    mine = merge(ONE, second, changed(ONE, c1="x = 3")).notebook
    edit(mine, "c1", "x = 3", "x = 2")
    found = merge(second, second, mine)
    assert ids(found) == ids(ONE)
    assert found.conflicts == 0


def test_a_deleted_cell_is_shown_once_for_each_change_of_it() -> None:
    mine = deepcopy(ONE)
    drop(mine, "c2")
    assert ids(merge(ONE, changed(ONE, c1="x = 2"), mine)) == ["m1", "c1", "m2"]
    second = changed(ONE, c2="y = 3")
    shown = merge(ONE, second, mine)
    assert ids(shown) == ["m1", "c1", "c2-new", "m2"]
    assert fates(shown) == [("c2", "deleted-shown")]
    assert beside_of(shown.notebook) == (("c2", "c2-new"),)
    third = merge(second, changed(second, c2="y = 4"), shown.notebook)
    assert source(third.notebook, "c2-new") == "y = 4"
    assert ids(third) == ["m1", "c1", "c2-new", "m2"]
    gone = deepcopy(shown.notebook)
    drop(gone, "c2-new")
    assert ids(merge(second, changed(second, c1="x = 2"), gone)) == ["m1", "c1", "m2"]


def test_a_shown_cell_that_the_student_works_on_is_theirs() -> None:
    mine = deepcopy(ONE)
    drop(mine, "c2")
    second = changed(ONE, c2="y = 3")
    shown = merge(ONE, second, mine).notebook
    edit(shown, "c2-new", "y = 3", "y = 3 + x")
    found = merge(second, changed(second, m1="# Lab"), shown)
    assert source(found.notebook, "c2") == "y = 3 + x"
    assert found.conflicts == 0


def test_what_the_instructor_withdraws_takes_its_new_version_along() -> None:
    second = changed(ONE, c1="x = 2")
    mine = merge(ONE, second, changed(ONE, c1="x = 3")).notebook
    third = deepcopy(second)
    drop(third, "c1")
    found = merge(second, third, mine)
    assert ids(found) == ids(ONE)
    assert source(found.notebook, "c1") == "x = 3"
    assert fates(found) == [("c1", "removed-kept")]


def test_a_merge_done_again_tells_of_no_new_version_and_leaves_its_outputs() -> None:
    """As after a crash: the file is written, and the hub does not know it yet."""
    new = changed(ONE, c1="x = 2")
    once = merge(ONE, new, changed(ONE, c1="x = 3")).notebook
    run(once, "c1-new")
    again = merge(ONE, new, once)
    assert again.notebook == once
    assert "beside" not in [x.fate for x in again.cells]
    assert again.conflicts == 1


def test_a_fix_lands_in_the_part_of_a_cell_that_the_student_split_as_lab_splits() -> None:
    """Lab 4.6 leaves the id to the last part."""
    base = made(c1="a = 1\n\nb = 2\n\nprint(b)")
    mine = book(cell("c-own", "a = 1"), cell("c1", "b = 2\n\nprint(b)"))
    found = merge(base, made(c1="a = 1\n\nb = 2\n\nprint(a, b)"), mine)
    assert [x["source"] for x in found.notebook["cells"]] == ["a = 1", "b = 2\n\nprint(a, b)"]
    assert fates(found) == [("c1", "line-merged")]


# ---- order ---------------------------------------------------------------------------------------


def test_new_cells_stand_behind_the_one_before_them_after_the_students_own() -> None:
    mine, new = deepcopy(ONE), deepcopy(ONE)
    put(mine, "c1", cell("c-own", "z = 0"))
    put(new, "c1", cell("c-n1", "n = 1"), cell("c-n2", "n = 2"))
    put(new, "", cell("c-top", "n = 0"))
    assert ids(merge(ONE, new, mine)) == [
        "c-top", "m1", "c1", "c-own", "c-n1", "c-n2", "c2", "m2"]


def test_new_cells_find_their_place_where_the_one_before_them_is_gone() -> None:
    mine, new = deepcopy(ONE), deepcopy(ONE)
    drop(mine, "c1", "m1")
    put(new, "c1", cell("c-n1", "n = 1"))
    assert ids(merge(ONE, new, mine)) == ["c-n1", "c2", "m2"]


def test_the_students_order_stays_where_they_moved_cells_and_the_other_is_told() -> None:
    mine, new = deepcopy(ONE), deepcopy(ONE)
    move(mine, "m2", "m1")
    move(new, "c1", "c2")
    put(new, "c2", cell("c-n", "n = 1"))
    found = merge(ONE, new, mine)
    assert ids(found) == ["m1", "m2", "c1", "c2", "c-n"]
    assert fates(found) == [("c1", "kept"), ("c-n", "added")]


def test_a_new_cell_that_the_student_has_already_stays_where_they_put_it() -> None:
    mine, new = deepcopy(ONE), deepcopy(ONE)
    put(mine, "m1", cell("c-pasted", "z = 9"))
    put(new, "m2", cell("c-n", "z = 9"))
    found = merge(ONE, new, mine)
    assert ids(found) == ["m1", "c-n", "c1", "c2", "m2"]
    assert fates(found) == []


def test_a_new_cell_stands_behind_a_shown_one_wherever_the_student_put_that() -> None:
    mine, second = deepcopy(ONE), changed(ONE, c2="y = 3")
    drop(mine, "c2")
    shown = merge(ONE, second, mine).notebook
    move(shown, "c2-new", "")
    third = deepcopy(second)
    put(third, "c2", cell("c-n", "n = 1"))
    assert ids(merge(second, third, shown)) == ["c2-new", "c-n", "m1", "c1", "m2"]


def test_moving_what_the_instructor_removes_is_no_order_of_the_students() -> None:
    mine, new = deepcopy(ONE), deepcopy(ONE)
    move(mine, "c2", "")
    drop(new, "c2")
    move(new, "c1", "m2")
    assert ids(merge(ONE, new, mine)) == ["m1", "m2", "c1"]


def test_what_the_student_put_behind_a_cell_moves_with_it() -> None:
    mine, new = deepcopy(ONE), deepcopy(ONE)
    put(mine, "c1", cell("c-own", "z = 0"))
    move(new, "c1", "m2")
    assert ids(merge(ONE, new, mine)) == ["m1", "c2", "m2", "c1", "c-own"]


# ---- what else a cell has ------------------------------------------------------------------------


def test_a_tag_that_only_the_instructor_changed_is_taken_and_the_students_stays() -> None:
    base = deepcopy(ONE)
    base["cells"][1]["metadata"] = {"tags": ["a"], "nbgrader": {"grade_id": "q1", "points": 1}}
    new, mine = deepcopy(base), deepcopy(base)
    new["cells"][1]["metadata"] = {"tags": ["a", "b"], "nbgrader": {"grade_id": "q1", "points": 2}}
    mine["cells"][1]["metadata"]["tags"] = ["own"]
    edit(mine, "c1", "x = 1", "x = 1  # mine")
    found = merge(base, new, mine)
    assert found.notebook["cells"][1]["metadata"] == {
        "tags": ["own"], "nbgrader": {"grade_id": "q1", "points": 2}}
    assert [x.fate for x in found.cells] == ["kept", "kept"]
    assert "tags" in " ".join(str(x.why) for x in found.cells)


def test_a_tag_that_the_student_took_away_does_not_come_back() -> None:
    base = deepcopy(ONE)
    base["cells"][1]["metadata"] = {"tags": ["a"], "name": "first"}
    new, mine = deepcopy(base), deepcopy(base)
    mine["cells"][1]["metadata"] = {"name": "first"}
    new["cells"][1]["metadata"] = {"tags": ["a"], "editable": True}
    found = merge(base, new, mine)
    assert found.notebook["cells"][1]["metadata"] == {"editable": True}
    assert found.cells == ()


def test_a_new_version_does_not_repeat_nbgraders_name_and_can_be_deleted() -> None:
    """nbgrader refuses a notebook in which one name stands twice."""
    base = deepcopy(ONE)
    grader = {"grade_id": "q1", "grade": True}
    base["cells"][1]["metadata"] = {"nbgrader": grader, "deletable": False, "tags": ["t"]}
    found = merge(base, changed(base, c1="x = 2"), changed(base, c1="x = 3")).notebook
    mine, new = found["cells"][1:3]
    assert mine["metadata"]["nbgrader"] == grader
    assert "nbgrader" not in new["metadata"]
    assert "deletable" not in new["metadata"]
    assert new["metadata"]["tags"] == ["t"]


def test_outputs_that_are_handed_out_follow_the_release_until_the_student_runs_the_cell() -> None:
    base = deepcopy(ONE)
    run(base, "c1", says="teacher 1")
    new = deepcopy(ONE)
    run(new, "c1", says="teacher 2")
    assert "teacher 2" in json.dumps(merge(base, new, base).notebook)
    mine = deepcopy(base)
    run(mine, "c1")
    assert "STUDENT" in json.dumps(merge(base, new, mine).notebook)


def test_a_picture_in_an_answer_is_the_students_change() -> None:
    def pictured(text: str, data: str) -> Book:
        found = changed(ONE, m2=text)
        found["cells"][3]["attachments"] = {"a.png": {"image/png": data}}
        return found

    base = pictured("Answer: ![](attachment:a.png)", "AA==")
    mine = pictured("Answer: ![](attachment:a.png)", "BB==")
    found = merge(base, pictured("Answer here: ![](attachment:a.png)", "AA=="), mine)
    assert fates(found) == [("m2", "beside")]
    assert found.notebook["cells"][3]["attachments"] == {"a.png": {"image/png": "BB=="}}
    assert found.notebook["cells"][4]["attachments"] == {"a.png": {"image/png": "AA=="}}
    nbformat.validate(found.notebook)


def test_a_cell_whose_kind_one_side_changed_is_that_sides() -> None:
    text = deepcopy(ONE)
    text["cells"][1] = {**cell("m", "x = 1"), "id": "c1"}
    for new, mine in ((text, ONE), (ONE, text)):
        found = merge(ONE, new, mine).notebook
        assert found["cells"][1]["cell_type"] == "markdown"
        nbformat.validate(found)
