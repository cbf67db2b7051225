"""The merge with what files may hold: no base, ids that tools lost, rubbish, a great many cells."""

import json
from copy import deepcopy
from typing import Any

import nbformat
import pytest

from hub.core.course import Unreadable, beside_of, merge
from tests.core.coursecases import book, cell, changed, drop, edit, fates, ids, made, put, source

ONE = made(m1="# Title", c1="x = 1", c2="y = 2", m2="Answer:")


def test_without_a_release_before_the_students_cells_stay_and_the_others_come() -> None:
    mine = made(c1="x = 1", c9="z = 9", m2="Answer: mine")
    found = merge(None, ONE, mine)
    assert ids(found) == ["m1", "c1", "c9", "c2", "m2", "m2-new"]
    assert merge(None, ONE, found.notebook).notebook == found.notebook


def test_a_strangers_notebook_of_the_same_name_is_not_taken_for_the_release() -> None:
    mine = made(c7="import os", c8="os.getcwd()", m9="# My own")
    found = merge(None, ONE, mine)
    assert ids(found) == ["c7", "c8", "m9", *ids(ONE)]
    assert found.conflicts == 0


def test_a_strangers_notebook_without_ids_is_none_either() -> None:
    mine = made(m7="# My own", c7="import os", c8="print(os.getcwd())", m9="Other words.")
    for x in mine["cells"]:
        del x["id"]
    found = merge(None, ONE, {**mine, "nbformat_minor": 4})
    assert ids(found)[4:] == ids(ONE)
    assert found.conflicts == 0


def test_a_pasted_copy_gets_an_id_and_the_first_keeps_it() -> None:
    mine = changed(ONE, c1="x = 1  # mine")
    mine["cells"].append(deepcopy(mine["cells"][1]))
    mine["cells"].append(deepcopy(mine["cells"][2]))
    found = merge(ONE, changed(ONE, c2="y = 20"), mine).notebook
    assert ids(found) == [*ids(ONE), "c1-2", "c2-2"]
    assert [x["source"] for x in found["cells"]][1:] == [
        "x = 1  # mine", "y = 20", "Answer:", "x = 1  # mine", "y = 2"]


def test_a_copy_of_a_new_version_is_the_students() -> None:
    mine = merge(ONE, changed(ONE, c1="x = 2"), changed(ONE, c1="x = 3")).notebook
    mine["cells"].append(deepcopy(mine["cells"][2]))
    found = merge(changed(ONE, c1="x = 2"), changed(ONE, c1="x = 4"), mine).notebook
    assert ids(found) == ["m1", "c1", "c1-new", "c2", "m2", "c1-new-2"]
    assert "madang" not in found["cells"][-1]["metadata"]
    assert source(found, "c1-new") == "x = 4"


def test_a_copy_of_a_cell_that_the_instructor_removes_stays_however_often_it_is_merged() -> None:
    mine, new = deepcopy(ONE), deepcopy(ONE)
    put(mine, "m2", cell("c-copy", "x = 1"))
    drop(new, "c1")
    found = merge(ONE, new, mine)
    assert ids(found) == ["m1", "c2", "m2", "c-copy"]
    assert ids(merge(ONE, new, found.notebook)) == ids(found)


def test_edited_cells_without_ids_are_found_between_their_neighbours() -> None:
    mine = changed(ONE, c1="x = 1 + 1", m2="Answer: mine")
    for x in mine["cells"]:
        del x["id"]
    found = merge(ONE, changed(ONE, c1="x = 100"), {**mine, "nbformat_minor": 4})
    assert ids(found) == ["m1", "c1", "c1-new", "c2", "m2"]
    assert fates(found) == [("c1", "beside"), ("m2", "kept")]


def test_own_cells_stay_own_in_a_notebook_that_has_new_versions() -> None:
    """It was merged before, so its ids were the releases' once: nobody made all of them anew."""
    base = made(c1="x = 1", c2="y = 2", c3="z = 3")
    shown = merge(base, changed(base, c2="y = 3"), made(c3="z = 3")).notebook
    put(shown, "", cell("c-own", "x = 1 + 0"))
    shown["cells"][2]["id"] = "c-pasted"
    new = changed(base, c2="y = 3")
    assert ids(shown) == ["c-own", "c2-new", "c-pasted"]
    assert ids(merge(new, new, shown)) == ["c-own", "c2-new", "c3"]


def test_ids_that_were_counted_anew_do_not_pair_strangers() -> None:
    base = made(c0="a = 1", c1="b = 2", c2="c = 3", c3="d = 4")
    mine = book(*(cell(f"c{i}", x) for i, x in enumerate(
        ("own = 0", "a = 1", "b = 2", "c = 3", "d = 4"))))
    found = merge(base, changed(base, c3="d = 40"), mine)
    assert [x["source"] for x in found.notebook["cells"]] == [
        "own = 0", "a = 1", "b = 2", "c = 3", "d = 40"]
    assert found.conflicts == 0


def test_releases_with_an_id_that_is_twice_still_make_a_notebook() -> None:
    """They are refused at a push; one may be older than that rule."""
    twice = book(cell("c1", "x = 1"), cell("c1", "y = 2"), cell("m1", "# Title"))
    for base, new in ((ONE, twice), (twice, ONE), (twice, twice), (None, twice)):
        found = merge(base, new, base or ONE).notebook
        nbformat.validate(found)
        assert len(set(ids(found))) == len(found["cells"])


def test_a_long_id_stays_within_the_format() -> None:
    long = book(cell("c" * 64, "x = 1"))
    new, mine = deepcopy(long), deepcopy(long)
    edit(new, "c" * 64, "1", "2")
    edit(mine, "c" * 64, "1", "3")
    mine["cells"].append(deepcopy(mine["cells"][0]))
    found = merge(long, new, mine).notebook
    nbformat.validate(found)
    assert len(set(ids(found))) == 3


def test_lists_of_lines_are_the_same_as_texts_and_stay_lists() -> None:
    one = made(c1="a = 1\n\nb = 2\n\nc = 3")
    mine = made(c1="a = 5\n\nb = 2\n\nc = 3")
    mine["cells"][0]["source"] = mine["cells"][0]["source"].splitlines(keepends=True)
    found = merge(one, made(c1="a = 1\n\nb = 2\n\nc = 7"), mine).notebook
    assert found["cells"][0]["source"] == ["a = 5\n", "\n", "b = 2\n", "\n", "c = 7"]
    base = {**one, "cells": [{**one["cells"][0], "source": ["a = 1\n\nb = 2\n\nc = 3"]}]}
    assert merge(base, one, one).cells == ()


def test_half_a_character_goes_through() -> None:
    mine = changed(ONE, c1="x = '\ud800'")
    mine["cells"].append({**cell("c", "y = '\udfff'"), "id": None})
    found = merge(ONE, changed(ONE, c1="x = 2"), mine)
    assert source(found.notebook, "c1") == "x = '\ud800'"
    assert json.loads(json.dumps(found.notebook)) == found.notebook
    "".join(x.source_before + x.source_after for x in found.cells).encode()


@pytest.mark.parametrize("broken", [
    None, [], "{}", {}, {"cells": {}}, {**ONE, "nbformat": 3}, {**ONE, "nbformat": None},
    {**ONE, "metadata": [1]}, *({**ONE, "cells": [x]} for x in (
        None, "x", [], {}, {**cell("c1", "x"), "cell_type": "heading"},
        {**cell("c1", "x"), "cell_type": ["code"]}, {**cell("c1", "x"), "metadata": [1]},
        {**cell("c1", "x"), "source": {"a": 1}}, {**cell("c1", "x"), "source": ["x", 1]},
        {**cell("c1", "x"), "outputs": {"a": 1}}, {**cell("m1", "x"), "attachments": [1]},
    )),
], ids=lambda x: str(x)[:40])
def test_what_is_no_notebook_is_refused_whoever_gives_it(broken: Any) -> None:
    for given in ((ONE, ONE, broken), (ONE, broken, ONE)):
        with pytest.raises(Unreadable):
            merge(*given)
    if broken is not None:
        with pytest.raises(Unreadable):
            merge(broken, ONE, ONE)


def test_what_a_cell_lacks_is_filled_in() -> None:
    mine = {**ONE, "cells": [
        {"cell_type": "code"}, {"cell_type": "markdown", "source": "own", "metadata": None,
                                "outputs": [], "id": {"local": "a"}},
        {"cell_type": "code", "id": "x y", "source": "1", "execution_count": "7"}]}
    found = merge(ONE, ONE, mine).notebook
    nbformat.validate(found)
    assert [x["source"] for x in found["cells"]] == ["", "own", "1"]


@pytest.mark.parametrize("mark", [
    [], "x", {"new_version_of": 7}, {"new_version_of": ["c1"]}, {"new_version_of": ""},
    {"new_version_of": "nobody"}, {"new_version_of": "c1", "held": 7, "deleted": "yes"},
    {"new_version_of": "c1", "held": {"tags": ["t"]}},
], ids=str)
def test_a_mark_that_somebody_made_up_loses_nothing(mark: Any) -> None:
    mine = deepcopy(ONE)
    put(mine, "c1", cell("c-own", "mine = 1"))
    mine["cells"][2]["metadata"] = {"madang": mark}
    assert set(beside_of(mine)) <= {("c1", "c-own")}
    found = merge(ONE, changed(ONE, c1="x = 2"), mine)
    nbformat.validate(found.notebook)
    assert "mine = 1" in [x["source"] for x in found.notebook["cells"]]
    assert source(found.notebook, "c1") == "x = 2"


def test_inputs_stay_as_they_are() -> None:
    new, mine = changed(ONE, c1="x = 2", c2="y = 3"), changed(ONE, c1="x = 3")
    before = json.dumps([ONE, new, mine])
    merge(ONE, new, mine)
    assert json.dumps([ONE, new, mine]) == before


def test_five_thousand_cells_that_all_changed_are_compared_with_their_own_only() -> None:
    """With each other it would be 25 million pairs, and the test's time would be over."""
    base = book(*(cell(f"c{i}", f"x = {i}\n\ny = 2") for i in range(5_000)))
    mine = book(*({k: v for k, v in cell("c", f"x = {i} + 1\n\ny = 2").items() if k != "id"}
                  for i in range(5_000)))
    found = merge(base, base, {**mine, "nbformat_minor": 4})
    assert len(found.notebook["cells"]) == 5_000
    assert ids(found)[4_999] == "c4999"
