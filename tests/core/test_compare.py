"""Two runs' notebooks beside each other; pictures; what is hostile in either."""

from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core import compare, pictures
from hub.core.compare import CellChange, Comparison, Fate, Line, compared
from hub.core.glance import glance_of, last_lines
from hub.core.pictures import picture
from tests.notebooks import code, jpeg, notebook, png, printed, shown, text


def fates(found: Comparison) -> list[tuple[Fate, int | None, int | None]]:
    return [(x.fate, x.before, x.after) for x in found.cells]


def only(found: Comparison) -> CellChange:
    (one,) = found.cells
    return one


def test_cells_are_paired_by_id_wherever_they_stand() -> None:
    before = notebook(text("a", "# A"), code("b", "x = 1"), code("c", "y = 2"))
    after = notebook(code("c", "y = 2"), text("a", "# A"), code("n", "z"), code("b", "x = 3"))
    found = compared(before, after)
    assert fates(found) == [(Fate.ADDED, None, 3), (Fate.CHANGED, 2, 4)]
    assert (found.same, found.changed, found.added, found.removed) == (2, 1, 1, 0)
    assert found.cells[1].lines == (Line("-", "x = 1"), Line("+", "x = 3"))


def test_what_was_removed_stands_where_it_was() -> None:
    before = notebook(code("a", "0"), code("b", "1"), code("c", "2"), code("d", "3"))
    after = notebook(code("b", "1!"), code("d", "3!"))
    assert fates(compared(before, after)) == [
        (Fate.REMOVED, 1, None), (Fate.CHANGED, 2, 1), (Fate.REMOVED, 3, None),
        (Fate.CHANGED, 4, 2),
    ]


def test_a_notebook_that_gets_new_ids_with_each_reading_is_paired_by_its_source() -> None:
    before = notebook(code("1", "x"), code("2", "x"), code("3", "y"), code("4", "old"))
    after = notebook(code("5", "x"), code("6", "y"), code("7", "x"), code("8", "new"))
    found = compared(before, after)
    assert fates(found) == [(Fate.REMOVED, 4, None), (Fate.ADDED, None, 4)]
    assert found.same == 3
    alike = compared(before, after, lambda left, right: [(0, 0)] if left and right else [])
    assert fates(alike) == [(Fate.CHANGED, 4, 4)]


def test_ids_that_are_there_twice_or_are_none_pair_once_each() -> None:
    before = notebook(code("a", "1"), code("a", "2"), {**code("", "3"), "id": {"x": 1}})
    after = notebook(code("a", "1"), code("a", "2"), {**code("", "3"), "id": None})
    assert compared(before, after).alike


def test_papermills_own_cells_are_no_difference() -> None:
    before = notebook(code("r1", "lr = 1", tags=("injected-parameters",)), code("a", "1"))
    error = text("e", "An error")
    error["metadata"]["tags"] = ["papermill-error-cell-tag"]
    after = notebook(
        code("r2", "lr = 2", tags=("injected-parameters",)), error, code("a", "1"),
    )
    assert fates(compared(before, after)) == [(Fate.CHANGED, 1, 1)]


def test_outputs_differ_by_what_they_show_not_by_counts() -> None:
    before = code("a", "x", printed("1"), shown("text/plain", "<Figure>", transient={"id": 1}))
    after = code("a", "x", printed("1"), shown("text/plain", "<Figure>", transient={"id": 2}))
    after["execution_count"] = 7
    assert compared(notebook(before), notebook(after)).alike
    after["outputs"][0]["text"] = "2"
    found = compared(notebook(before), notebook(after))
    assert only(found) == CellChange(Fate.SAME, "code", 1, 1, outputs=True)
    assert (found.same, found.outputs) == (1, 1)


def test_pictures_before_and_after() -> None:
    first, second = png(extra=b"1"), png(extra=b"2")
    before = notebook(code("a", "plot", shown("image/png", first)))
    after = notebook(code("a", "plot", shown("image/png", second), shown("image/jpeg", jpeg())))
    old, new = only(compared(before, after)).pictures
    assert [x.uri for x in old] == [f"data:image/png;base64,{first}"]
    assert [(x.kind, x.width, x.height) for x in new] == [
        ("image/png", 2, 2), ("image/jpeg", 3, 2),
    ]
    # where other outputs differ and the pictures do not, there is nothing to look at
    printed_too = notebook(code("a", "plot", shown("image/png", first), printed("took 3 s")))
    assert only(compared(before, printed_too)).pictures == ((), ())


@pytest.mark.parametrize(("kind", "data"), [
    ("image/png", b"<svg onload=alert(1)>"),
    ("image/png", b"GIF89a" + bytes(40)),
    ("image/jpeg", b"\x89PNG\r\n\x1a\n" + bytes(40)),
    ("image/png", b"\xff\xd8\xff" + bytes(40)),
    ("image/png", b"\x89PNG\r\n\x1a\n"),
    ("image/jpeg", b"\xff\xd8\xff\xe0\x00\x00" * 20),
    ("image/png", b""),
])
def test_what_is_not_the_picture_it_says_is_not_shown(kind: str, data: bytes) -> None:
    assert picture(kind, b64encode(data).decode()).uri == ""


@pytest.mark.parametrize("value", [
    "not base64!", "<script>", "A", "====", 'iVBORw0KGgo="><script>', ["iVBO", 3], 5, None,
    {"a": 1}, "\ud800", png() + '" onerror="x',
])
def test_what_is_no_base64_is_not_shown(value: Any) -> None:
    found = notebook(code("a", "x", shown("image/png", value)))
    assert all(not x.uri for x in glance_of(found).pictures)


def test_a_picture_in_lines_is_one() -> None:
    whole = png()
    lines = [whole[i : i + 10] + "\n" for i in range(0, len(whole), 10)]
    (found,) = glance_of(notebook(code("a", "x", shown("image/png", lines)))).pictures
    assert found.uri == f"data:image/png;base64,{whole}"


def test_a_picture_that_is_large_or_unfolds_is_not_shown() -> None:
    assert picture("image/png", png(5000, 5000)).uri
    assert not picture("image/png", png(5001, 5000)).uri
    large = png(extra=bytes(pictures.LARGEST))
    found = picture("image/png", large)
    assert (found.uri, found.size > pictures.LARGEST) == ("", True)


def test_a_page_has_only_so_many_bytes_of_pictures() -> None:
    one = png(extra=bytes(400_000))
    after = notebook(*(code(str(i), str(i), shown("image/png", one)) for i in range(30)))
    found = compared(notebook(), after)
    uris = [y.uri for x in found.cells for y in x.pictures[1]]
    assert len(uris) == 30
    assert 0 < sum(map(len, uris)) <= compare._PICTURE_BYTES


def test_sources_without_end_are_cut() -> None:
    before = notebook(code("a", "x\n" * 5000), code("b", "y" * 10_000))
    after = notebook(code("a", "x\n" * 5001), code("b", "z" * 10_000))
    long, wide = compared(before, after).cells
    assert long.lines == (Line("…", ""),)
    assert max(len(x.text) for x in wide.lines) < 500
    many = compared(notebook(), notebook(*(code(str(i), str(i)) for i in range(300))))
    assert (len(many.cells), many.added, many.cut) == (200, 300, True)


@pytest.mark.parametrize("broken", [
    {}, {"cells": None}, {"cells": "abc"}, {"cells": [1, None, [], "x"]},
    {"cells": [{"cell_type": "code"}]}, {"cells": [{"source": [1, "a"], "outputs": [1, {}]}]},
    {"cells": [{"cell_type": ["x"], "metadata": [], "outputs": {"a": 1}, "id": 5}]},
    {"cells": [{"cell_type": "code", "source": "\ud800", "outputs": [{"data": 4}]}]},
    {"cells": [{"cell_type": "code", "metadata": {"tags": "papermill"}}]},
])
def test_what_is_hardly_a_notebook_is_compared_all_the_same(broken: dict[str, Any]) -> None:
    whole = notebook(code("a", "x", shown("image/png", png())))
    for pair in ((broken, whole), (whole, broken), (broken, broken)):
        str(compared(*pair)).encode()  # no half character is left in it
    glance_of(broken)


def test_context_stands_around_a_change() -> None:
    lines = [f"line {i}" for i in range(20)]
    before = notebook(code("a", "\n".join(lines)))
    lines[10] = "changed"
    found = only(compared(before, notebook(code("a", "\n".join(lines)))))
    assert [(x.mark, x.text) for x in found.lines] == [
        ("…", ""), (" ", "line 8"), (" ", "line 9"), ("-", "line 10"), ("+", "changed"),
        (" ", "line 11"), (" ", "line 12"),
    ]


def test_the_last_lines_of_an_error_are_plain() -> None:
    error = {"output_type": "error", "ename": "E", "evalue": "v", "traceback": [
        "\x1b[0;31mKeyError\x1b[0m\x07", "", "  File \x1b]0;x\x1b\\ ", "a\nb", 5, "\x1b[2J<b>last",
    ]}
    found = glance_of(notebook(code("a", "x", error))).error
    assert found[0] == "KeyError"
    assert found[-3:] == ("a", "b", "<b>last")
    assert not any("\x1b" in x or "\x07" in x for x in found)
    assert len(last_lines("\n".join(map(str, range(100))))) == 8


SOURCES = st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(["x", "y", "x\ny", ""])),
                   max_size=8)


@given(SOURCES, SOURCES)
def test_every_cell_of_both_is_accounted_for(
    before: list[tuple[str, str]], after: list[tuple[str, str]]
) -> None:
    found = compared(*(notebook(*(code(*x) for x in each)) for each in (before, after)))
    assert found.same + found.changed + found.removed == len(before)
    assert found.same + found.changed + found.added == len(after)
    places = [x.after for x in found.cells if x.after]
    assert places == sorted(places)
    lines = [line for x in found.cells if x.fate is Fate.CHANGED for line in x.lines]
    assert all(x.mark in "+- …" for x in lines)
