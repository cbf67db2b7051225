"""Which cell is which: what ids, content and neighbours say, and what they do not."""

from hub.core.coursecells import Cell
from hub.core.coursepairs import Known, paired


def cells(*given: tuple[str, str]) -> list[Cell]:
    return [Cell(id, "code", source, {}) for id, source in given]


def known(*given: tuple[str, str], gone: str = "") -> list[Known]:
    return [Known((x.id,), (x.content,), x, gone=x.id == gone) for x in cells(*given)]


THREE = (("a", "alpha = 1"), ("b", "beta = 2"), ("c", "gamma = 3"))


def test_ids_say_it_whatever_the_content() -> None:
    found = cells(("c", "gamma = 3"), ("a", "new"), ("x", "own"), ("b", ""))
    assert paired(known(*THREE), found) == {0: 2, 1: 0, 3: 1}


def test_one_cell_with_anothers_text_is_still_itself() -> None:
    found = cells(("a", "beta = 2"), ("b", "own = 0"), ("c", "gamma = 3"))
    assert paired(known(*THREE), found) == {0: 0, 1: 1, 2: 2}


def test_most_cells_with_anothers_text_have_the_others_ids() -> None:
    found = cells(("a", "own = 0"), ("b", "alpha = 1"), ("c", "beta = 2"))
    assert paired(known(*THREE), found) == {1: 0, 2: 1}


def test_a_cell_that_was_cut_and_pasted_is_known_by_its_text() -> None:
    found = cells(("a", "alpha = 1"), ("c", "gamma = 3"), ("x", "beta = 2"))
    assert paired(known(*THREE), found) == {0: 0, 1: 2, 2: 1}


def test_a_cell_of_ones_own_in_the_place_of_another_is_not_that_one() -> None:
    found = cells(("a", "alpha = 1"), ("x", "beta = 2 + 0"), ("c", "gamma = 3"))
    assert paired(known(*THREE), found) == {0: 0, 2: 2}


def test_a_cell_without_an_id_is_the_one_it_is_like_between_its_neighbours() -> None:
    like = cells(("a", "alpha = 1"), ("", "unlike"), ("", "beta = 2 + 0"), ("c", "gamma = 3"))
    assert paired(known(*THREE), like) == {0: 0, 2: 1, 3: 2}


def test_a_cell_without_an_id_that_is_like_none_is_nobody() -> None:
    found = cells(("a", "alpha = 1"), ("", "unlike"), ("c", "gamma = 3"))
    assert paired(known(*THREE), found) == {0: 0, 2: 2}


def test_a_cell_of_ones_own_does_not_part_a_gap() -> None:
    found = cells(("a", "alpha = 1"), ("x", "own"), ("", "beta = 2 + 0"), ("c", "gamma = 3"))
    assert paired(known(*THREE), found) == {0: 0, 2: 1, 3: 2}


def test_where_no_id_is_there_as_many_cells_are_the_same_in_order() -> None:
    found = cells(("", "alpha = 1"), ("", "unlike"), ("", "all new"))
    assert paired(known(*THREE), found) == {0: 0, 1: 1, 2: 2}
    assert paired(known(*THREE), found, by_place=False) == {0: 0}
    assert paired(known(*THREE), found[:2]) == {0: 0}


def test_equal_cells_without_ids_are_told_apart_by_what_is_before_them() -> None:
    given = known(("a", "x"), ("b", "one = 1"), ("c", "x"), ("d", "two = 2"), ("e", ""))
    found = cells(("", "one = 1"), ("", "x"), ("", "two = 2"), ("", ""))
    assert paired(given, found) == {0: 1, 1: 2, 2: 3, 3: 4}


def test_equal_cells_that_moved_are_given_out_in_order() -> None:
    given = known(("a", "x"), ("b", "one = 1"), ("c", "two = 2"), ("d", "x"))
    found = cells(("", "one = 1"), ("", "two = 2"), ("", "x"), ("", "x"))
    assert paired(given, found) == {0: 1, 1: 2, 2: 3, 3: 0}
    first = known(("a", "x"), ("b", "x"), ("c", "one = 1"), ("d", "two = 2"))
    assert paired(first, found) == {0: 2, 1: 3, 2: 0, 3: 1}


def test_equal_cells_of_which_one_has_an_id_are_both_found() -> None:
    given = known(("a", "one = 1"), ("b", "x"), ("c", "x"), ("d", "two = 2"))
    found = cells(("a", "one = 1"), ("new", "x"), ("", "x"), ("d", "two = 2"))
    assert sorted(paired(given, found).values()) == [0, 1, 2, 3]


def test_a_copy_with_an_id_of_its_own_is_not_a_cell_that_is_gone() -> None:
    given = known(*THREE, gone="b")
    assert paired(given, cells(("a", "alpha = 1"), ("x", "beta = 2"))) == {0: 0}
    assert paired(given, cells(("a", "alpha = 1"), ("", "beta = 2"))) == {0: 0, 1: 1}
    assert paired(given, cells(("a", "alpha = 1"), ("b", "beta = 2"))) == {0: 0, 1: 1}


def test_all_ids_made_anew_are_no_ids() -> None:
    found = cells(("n1", "alpha = 1"), ("n2", "beta = 2 + 0"), ("n3", "gamma = 3"))
    assert paired(known(*THREE), found) == {0: 0, 1: 1, 2: 2}
    assert paired(known(*THREE), found, anew=False) == {0: 0, 2: 2}


def test_ids_of_a_notebook_that_has_nothing_of_it_are_its_own() -> None:
    found = cells(("n1", "import os"), ("n2", "alpha = 2"), ("n3", "os.getcwd()"))
    assert paired(known(*THREE), found) == {}


def test_a_great_gap_is_not_searched_for_likeness() -> None:
    given = known(*((f"k{i}", f"word{i} is here") for i in range(30)))
    found = cells(("k0", "word0 is here"), *(("", f"word{i} was here") for i in range(1, 32)))
    assert paired(given, found) == {0: 0}
