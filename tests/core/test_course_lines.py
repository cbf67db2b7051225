"""Two changes of one source: when they go together, and when not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.course import merge
from hub.core.courselines import Room, parses, put_together
from tests.core.coursecases import book, cell


def together(base: str, mine: str, new: str) -> str | None:
    return put_together(*(x.replace(" ", "\n") for x in (base, mine, new)), Room())


@pytest.mark.parametrize(("base", "mine", "new", "both"), [
    ("a b c", "A b c", "a b C", "A b C"),
    ("a b c", "A b c", "A b c", "A b c"),
    ("a b c", "A b c", "a B c", None),
    ("a b c", "A b c", "a X b c", None),
    ("a b c", "a b c d", "a b c e", None),
    ("a b c d", "a c d", "a b c D", "a c D"),
    ("a b c", "0 a b c", "a b c 9", "0 a b c 9"),
    ("a b c d e", "a B c d e", "a b c D e", "a B c D e"),
    ("a b c d e", "a B c D e", "a b c D e", "a B c D e"),
    ("a b c d e", "a B c D e", "a b C D e", None),
    ("a b c d", "", "a b c D", None),
    ("a b c d", "a d", "a b C d", None),
], ids=str)
def test_changes_that_do_not_touch_go_together(
    base: str, mine: str, new: str, both: str | None
) -> None:
    assert together(base, mine, new) == (both and both.replace(" ", "\n"))


_LINES = st.lists(st.sampled_from("abcd"), max_size=8)


@given(_LINES, _LINES, _LINES)
def test_what_goes_together_has_every_new_line_and_comes_out_again(
    base: list[str], mine: list[str], new: list[str]
) -> None:
    texts = ["\n".join(x) for x in (base, mine, new)]
    found = put_together(*texts, Room())
    if found is None:
        return
    lines = found.split("\n")
    for side in (mine, new):
        assert all(lines.count(x) >= 1 for x in set(side) - set(base))
    assert put_together(texts[0], found, texts[2], Room()) == found
    assert put_together(texts[0], texts[2], texts[1], Room()) == found


def test_what_would_take_too_long_is_not_tried() -> None:
    many = [f"{i}" for i in range(900)]
    mine, new = ["m", *many[1:-1], "m"], [*many[:400], "n", *many[400:]]
    assert put_together("\n".join(many), "\n".join(mine), "\n".join(new), Room()) is None
    few = ("a\n\nb\n\nc", "A\n\nb\n\nc", "a\n\nb\n\nC")
    assert put_together(*few, Room(27)) is not None
    assert put_together(*few, Room(26)) is None


@pytest.mark.parametrize(("source", "fine"), [
    ("x = 1", True), ("", True), ("x = ", False), ("if x:", False), ("%matplotlib inline", True),
    ("!pip install x\nimport x", True), ("for f in y:\n    !ls {f}", True), ("%%time\nx = 1", True),
    ("%%time\nx =", False), ("%%bash\nls", False), ("files = !ls", True), ("x?", True),
    ("a = %timeit -o f()\nb = 1", True), ("await f()", True), ("x = 5 \\\n% 3", True),
    ("'''\n%s\n'''", True), ("\0", False), ("'\ud800'", False), ("(" * 9000, False),
    ("%%time\n" * 2000, True), ("x" * 20_000, False), (" " * 16_000 + "!", False),
    (" " * 16_000 + "=", False), ("?" * 16_000 + "x", True),
    ("-" * 16_000 + "1", False),
], ids=lambda x: repr(x)[:30])
def test_python_is_told_from_what_is_not(source: str, *, fine: bool) -> None:
    assert parses(source) is fine


def _three(kind: str = "c1", language: str = "python", **sources: str) -> list[str]:
    found = merge(*(
        {**book(cell(kind, sources[x])), "metadata": {"kernelspec": {"language": language}}}
        for x in ("base", "new", "mine")
    ))
    return [x.fate for x in found.cells]


def test_only_python_that_parses_before_and_after_is_put_together() -> None:
    fine = {"base": "a = 1\n\nb = 2\n\nc = 3", "mine": "a = 9\n\nb = 2\n\nc = 3",
            "new": "a = 1\n\nb = 2\n\nc = 9"}
    assert _three(**fine) == ["line-merged"]
    assert _three(kind="m1", **fine) == ["beside"]
    assert _three(language="R", **fine) == ["beside"]
    assert _three(**fine | {"mine": "a = \n\nb = 2\n\nc = 3"}) == ["beside"]
    assert _three(**fine | {"new": "a = 1\n\nb = 2\n\nc = "}) == ["beside"]


def test_what_would_not_parse_together_stands_beside() -> None:
    """The student deletes what the instructor's new lines stand in."""
    base = "if a:\n    x = 1\n\n\ny = 2"
    mine = "x = 1\n\n\ny = 2"
    new = "if a:\n    x = 1\n\n\nelse:\n    y = 3\ny = 2"
    assert _three(base=base, mine=mine, new=new) == ["beside"]


def test_the_outputs_of_lines_put_together_stay_but_the_cell_counts_as_not_run() -> None:
    ran = {**cell("c1", "a = 9\n\nb = 2\n\nc = 3"), "execution_count": 4, "outputs": [
        {"output_type": "stream", "name": "stdout", "text": "9"}]}
    found = merge(book(cell("c1", "a = 1\n\nb = 2\n\nc = 3")),
                  book(cell("c1", "a = 1\n\nb = 2\n\nc = 9")), book(ran))
    (only,) = found.notebook["cells"]
    assert only["outputs"] == ran["outputs"]
    assert only["execution_count"] is None
    (told,) = found.cells
    assert (told.source_before, told.source_after) == (
        "a = 9\n\nb = 2\n\nc = 3", "a = 9\n\nb = 2\n\nc = 9")
