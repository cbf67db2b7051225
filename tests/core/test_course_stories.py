"""Three and more releases in a row, with a student's edits between: what must always hold.

Nothing here is taken from the merge: what is looked for are the words that each side wrote.
"""

import json
from collections import Counter
from typing import Any

import nbformat
from hypothesis import given, settings

from hub.core.course import Merged, merge
from tests.core.coursestories import WORD, Book, Person, first, loaded, parses, saved, stories

Story = tuple[list[int], list[tuple[Any, Any]]]


@settings(max_examples=150)
@given(stories)
def test_nobody_loses_a_word_over_several_releases(story: Story) -> None:
    kinds, rounds = story
    student, teacher = Person("S"), Person("T")
    base = first(kinds)
    mine = base
    for own, theirs in rounds:
        mine = student.works(mine, own)
        new = teacher.works(base, theirs)
        found = merge(saved(base), saved(new), saved(mine), release=2)
        out = loaded(found.notebook)
        _valid(found.notebook)
        _students_words_stay(mine, out, found)
        _teachers_words_are_there(base, new, mine, out, found)
        _nothing_else_is_there(new, mine, out, found)
        _order_is_one_sides(new, mine, out)
        _again_changes_nothing(base, new, found, ids="newids" not in [x for x, _, _ in own])
        base, mine = new, out


def _valid(book: Book) -> None:
    nbformat.validate(book)
    ids = [x["id"] for x in book["cells"]]
    assert len(set(ids)) == len(ids)
    json.dumps(book)
    versions = [x["metadata"]["madang"]["new_version_of"] for x in book["cells"]
                if "madang" in x["metadata"]]
    assert len(set(versions)) == len(versions), "new versions are stacked"


def _merged_lines(found: Merged) -> dict[str, str]:
    return {x.source_before: x.source_after for x in found.cells if x.fate == "line-merged"}


def _students_words_stay(mine: Book, out: Book, found: Merged) -> None:
    """Each cell with a word of the student's is there as it was, or its lines in a merged one."""
    here, there = _sources(mine, "S"), _sources(out, "S")
    lines = _merged_lines(found)
    for (kind, source), count in here.items():
        if source in lines:
            assert set(_words(source, "S")) <= set(_words(lines[source], "S"))
            assert any(x == lines[source] for _, x in there)
        else:
            assert there[kind, source] >= count, source
    for key, counts in _outputs(mine).items():
        if "S" in key and key not in lines:
            assert counts <= _outputs(out)[key], "outputs of a cell that stays are gone"


def _sources(book: Book, sign: str) -> Counter[tuple[str, str]]:
    return Counter(
        (x["cell_type"], str(x["source"])) for x in book["cells"] if _words(x["source"], sign)
    )


def _outputs(book: Book) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for x in book["cells"]:
        for y in x.get("outputs", ()):
            found.setdefault(str(x["source"]), Counter())[y["text"]] += 1
    return found


def _words(text: str, sign: str) -> list[str]:
    return [x for x in WORD.findall(text) if x.startswith(sign)]


def _teachers_words_are_there(
    base: Book, new: Book, mine: Book, out: Book, found: Merged
) -> None:
    text = "\n".join(x["source"] for x in out["cells"])
    lines = _by_id(base)
    told = {x.id for x in found.cells if x.fate == "kept"}
    for cell in new["cells"]:
        old = lines.get(cell["id"])
        fresh = set(_words(cell["source"], "T")) - set(_words(old["source"], "T") if old else [])
        assert fresh <= set(_words(text, "T"))
        if old is None or (old["source"], old["cell_type"]) != (cell["source"], cell["cell_type"]):
            assert cell["source"] in text or cell["source"] in str(_merged_lines(found)) \
                or _told(found, cell["id"]), "the change is neither there nor told"
        mark = {k: v for k, v in cell["metadata"].items() if not old or old["metadata"].get(k) != v}
        there = _by_id(out).get(cell["id"])
        if mark and there:
            assert mark.items() <= there["metadata"].items() or cell["id"] in told
    for key in ("kernelspec", "title"):
        if new["metadata"].get(key) != base["metadata"].get(key):
            assert out["metadata"][key] == new["metadata"][key] or "" in told
    _what_nobody_else_touched(base, new, mine, out)


def _told(found: Merged, id: str) -> bool:
    return any(x.id == id for x in found.cells)


def _what_nobody_else_touched(base: Book, new: Book, mine: Book, out: Book) -> None:
    """A cell that the student has as it was given is the release's now, or gone with it."""
    before, after, here = _by_id(base), _by_id(new), Counter(x.get("id") for x in mine["cells"])
    versions = {x["metadata"].get("madang", {}).get("new_version_of") for x in mine["cells"]}
    for cell in mine["cells"]:
        old = before.get(cell.get("id"))
        if old is None or here[old["id"]] > 1 or "madang" in cell["metadata"]:
            continue
        if (old["source"], old["cell_type"]) != (cell["source"], cell["cell_type"]):
            continue
        there = _by_id(out).get(old["id"])
        if old["id"] in after:
            assert there is not None
            assert there["source"] == after[old["id"]]["source"]
            assert there["cell_type"] == after[old["id"]]["cell_type"]
        elif old["id"] not in versions:
            assert there is None, "what the instructor removed, and nobody changed, is still there"


def _by_id(book: Book) -> dict[Any, Book]:
    return {x.get("id"): x for x in reversed(book["cells"])}


def _nothing_else_is_there(new: Book, mine: Book, out: Book, found: Merged) -> None:
    """Every source is one side's whole, or told as merged; and what is merged parses."""
    known = {x["source"] for x in (*new["cells"], *mine["cells"])}
    merged = set(_merged_lines(found).values())
    for x in out["cells"]:
        assert x["source"] in known or x["source"] in merged
    for before, after in _merged_lines(found).items():
        assert parses(after) or not parses(before)


def _order_is_one_sides(new: Book, mine: Book, out: Book) -> None:
    """The cells of one side, at least, are in that side's order."""
    order = [x["id"] for x in out["cells"]]
    assert any(_in_order([x.get("id") for x in side["cells"]], order) for side in (new, mine))


def _in_order(side: list[str | None], order: list[str]) -> bool:
    once = {x for x, n in Counter(side).items() if n == 1}
    places = [order.index(x) for x in side if x in once and x in order]
    return places == sorted(places)


def _again_changes_nothing(base: Book, new: Book, found: Merged, *, ids: bool) -> None:
    """`ids` False: a tool had made all anew; equal cells may then be told apart the second time."""
    once = found.notebook
    for before, release in ((base, 2), (new, 3)):
        again = merge(saved(before), saved(new), once, release=release).notebook
        assert _seen(again) == _seen(once)
        assert not ids or json.dumps(again) == json.dumps(once)


def _seen(book: Book) -> list[tuple[str, str]]:
    return [(x["cell_type"], x["source"]) for x in loaded(book)["cells"]]
