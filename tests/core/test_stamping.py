"""A notebook as it is handed out: ids that stay, outputs that do not."""

import json
from copy import deepcopy
from typing import Any

import nbformat
import pytest
from hypothesis import given, settings

from hub.core.course import Unreadable, merge, normalise
from hub.errors import BadInput
from tests.core.coursecases import book, cell, drop, edit, lab, put, run
from tests.core.coursestories import Person, first, loaded, saved, stories

Book = dict[str, Any]


def _ids(found: Book) -> list[str]:
    return [x["id"] for x in found["cells"]]


def _without_ids(found: Book) -> Book:
    found = deepcopy(found)
    for x in found["cells"]:
        del x["id"]
    return {**found, "nbformat_minor": 4}


def _said(found: Any) -> str:
    return " ".join(str(x) for x in found.notes)


def test_a_first_release_of_format_4_4_gets_ids_that_are_the_same_each_time() -> None:
    found = normalise(_without_ids(lab()), None)
    nbformat.validate(found.notebook)
    assert found.notebook["nbformat_minor"] == 5
    assert len(set(_ids(found.notebook))) == 16
    assert _ids(normalise(_without_ids(lab()), None).notebook) == _ids(found.notebook)
    assert "16 cells had no id" in _said(found)
    assert "4.5" in _said(found)


def test_equal_cells_get_ids_that_differ() -> None:
    found = normalise(_without_ids(book(*(cell("c", "") for _ in range(30)))), None).notebook
    nbformat.validate(found)
    assert len(set(_ids(found))) == 30


def test_ids_that_are_there_stay() -> None:
    found = normalise(lab(), None)
    assert _ids(found.notebook) == _ids(lab())
    assert found.notes == ()


@pytest.mark.parametrize("lose", ["none", "anew", "counted"])
def test_ids_that_a_tool_lost_are_the_last_releases(lose: str) -> None:
    before = normalise(lab(), None).notebook
    new = deepcopy(before)
    edit(new, "c11", "x = torch.arange(12)", "x = torch.ones(12)")
    put(new, "c12", cell("c13", "print(y.T)"))
    drop(new, "c32")
    expected = _ids(new)
    if lose == "none":
        new = _without_ids(new)
    else:
        for i, x in enumerate(new["cells"]):
            x["id"] = f"{'x' if lose == 'anew' else ''}{i}"
    found = normalise(new, before)
    place = expected.index("c13")
    assert [x for x in _ids(found.notebook) if x in expected] == [
        x for x in expected if x != "c13"]
    assert _ids(found.notebook)[place] not in _ids(before)
    assert len(set(_ids(found.notebook))) == len(expected)


def test_an_id_that_now_names_another_cell_is_given_to_nobody_twice() -> None:
    before = book(cell("c0", "a = 1"), cell("c1", "b = 2"), cell("c2", "c = 3"))
    new = book(cell("c0", "own = 0"), cell("c1", "a = 1"), cell("c2", "b = 2"),
               cell("c3", "c = 3"))
    found = normalise(new, before)
    assert _ids(found.notebook)[1:] == ["c0", "c1", "c2"]
    assert len(set(_ids(found.notebook))) == 4
    assert "3 cells have other ids" in _said(found)


def test_outputs_go_but_of_cells_that_are_marked_to_keep_them() -> None:
    given = lab()
    run(given)
    given["cells"][1]["metadata"]["tags"] = ["keep-output"]
    given["metadata"]["widgets"] = {"application/vnd.jupyter.widget-state+json": {}}
    found = normalise(given, None)
    nbformat.validate(found.notebook)
    kept = [x["id"] for x in found.notebook["cells"] if x.get("outputs")]
    assert kept == ["c01"]
    assert found.notebook["cells"][1]["execution_count"] == 2
    assert all("execution" not in x["metadata"] for x in found.notebook["cells"])
    assert "widgets" in found.notebook["metadata"]
    assert "Outputs removed: 6 cells" in _said(found)
    del given["cells"][1]["metadata"]["tags"]
    assert "widgets" not in normalise(given, None).notebook["metadata"]


def test_a_students_file_that_is_published_has_no_new_versions() -> None:
    new, mine = lab(), lab()
    edit(new, "c32", "net", "our_net")
    edit(mine, "c32", "net", "my_net")
    found = normalise(merge(lab(), new, mine, release=2).notebook, None)
    assert "new_version_of" not in json.dumps(found.notebook)
    assert "1 cells were marked" in _said(found)


def test_nbgraders_metadata_and_attachments_stay() -> None:
    given = book({**cell("m1", "![](attachment:a.png)"),
                  "attachments": {"a.png": {"image/png": "AA=="}}})
    given["cells"][0]["metadata"] = {"nbgrader": {"grade_id": "q", "locked": True},
                                     "editable": False}
    (found,) = normalise(given, None).notebook["cells"]
    assert found["metadata"] == given["cells"][0]["metadata"]
    assert found["attachments"] == given["cells"][0]["attachments"]


def test_two_cells_of_one_id_are_refused_by_their_numbers() -> None:
    given = lab()
    given["cells"][7]["id"] = "c11"
    with pytest.raises(BadInput, match="Cells 4 and 8 have the same id, c11") as refused:
        normalise(given, lab())
    assert refused.value.reason == "duplicate-ids"


@pytest.mark.parametrize("broken", [
    None, 7, [], {}, {"nbformat": 3, "worksheets": []}, {"nbformat": 4, "cells": None},
    {"nbformat": 4, "cells": ["x"]}, {"nbformat": 4, "cells": [{"cell_type": "code", "source": 1}]},
], ids=str)
def test_what_is_no_notebook_is_refused(broken: Any) -> None:
    with pytest.raises(Unreadable) as refused:
        normalise(broken, None)
    assert isinstance(refused.value, BadInput)
    assert refused.value.message


def test_ids_that_the_format_forbids_are_made_anew() -> None:
    given = book(*({**cell("c", str(i)), "id": x} for i, x in enumerate(
        ("a b", "", "x" * 65, "ß", {"local_id": "a"}, 7, None))))
    found = normalise(given, None).notebook
    nbformat.validate(found)
    assert len(set(_ids(found))) == 7


@settings(max_examples=50)
@given(stories)
def test_a_normalised_notebook_is_normal(story: Any) -> None:
    kinds, rounds = story
    before, author = normalise(first(kinds), None).notebook, Person("S")
    for own, theirs in rounds:
        steps = [x for x in (*own, *theirs) if x[0] != "copy"]  # which makes ids that are twice
        given = author.works(loaded(before), steps)
        found = normalise(saved(given), before).notebook
        nbformat.validate(found)
        again = normalise(found, before)
        assert again.notes == ()
        assert json.dumps(again.notebook) == json.dumps(found)
        before = found
