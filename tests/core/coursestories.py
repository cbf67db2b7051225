"""What students and instructors do to a notebook over several releases, as small steps.

Shares nothing with the merge. Each edit leaves a word of its own: `S7` was written by the student,
`T7` by the instructor, so a result can be searched for it.
"""

import ast
import re
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

Book = dict[str, Any]
Step = tuple[str, int, int]
_CODE = ("x = 1\ny = 2\n\nz = x + y\n\nprint(z)", "import math\n\nfor i in range(3):\n    i += 1",
         "def f(a):\n    b = a\n\n    return b", "")
_TEXT = ("# Title\n\nRead this.", "Your answer:", "")
WORD = re.compile(r"\b[ST]\d+\b")
STUDENT = ("edit", "edit", "line", "line", "append", "clear", "drop", "insert", "insert", "swap",
           "run", "run", "copy", "split", "kind", "noids", "newids", "tag", "resolve", "adopt",
           "work", "lines")
INSTRUCTOR = ("edit", "line", "line", "append", "drop", "insert", "insert", "swap", "kind", "tag",
              "kernel", "title")


def steps(words: tuple[str, ...], most: int) -> st.SearchStrategy[list[Step]]:
    step = st.tuples(st.sampled_from(words), st.integers(0, 30), st.integers(0, 30))
    return st.lists(step, max_size=most)


stories = st.tuples(
    st.lists(st.integers(0, 6), min_size=1, max_size=8),
    st.lists(st.tuples(steps(STUDENT, 7), steps(INSTRUCTOR, 5)), min_size=3, max_size=4),
)


def first(kinds: list[int]) -> Book:
    """A release: what 0 to 6 stand for is code or text, some of it empty or the same."""
    cells = [
        made(f"c{i}", "code", _CODE[k]) if k < len(_CODE) else
        made(f"m{i}", "markdown", _TEXT[k - len(_CODE)]) for i, k in enumerate(kinds)
    ]
    return {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def made(id: str, kind: str, source: str) -> Book:
    cell: Book = {"cell_type": kind, "id": id, "metadata": {}, "source": source}
    return cell | ({"outputs": [], "execution_count": None} if kind == "code" else {})


def parses(source: str) -> bool:
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


class Person:
    """Somebody who changes a notebook; `sign` is the letter of their words."""

    def __init__(self, sign: str) -> None:
        self.sign = sign
        self.count = 0

    def word(self) -> str:
        self.count += 1
        return f"{self.sign}{self.count}"

    def works(self, book: Book, work: list[Step]) -> Book:
        """The notebook after these steps; the one given stays as it is."""
        book = deepcopy(book)
        for name, a, b in work:
            if book["cells"] or name == "insert":
                _STEPS[name](self, book, a, b)
        return book


def _of(book: Book, a: int) -> Book:
    cell: Book = book["cells"][a % len(book["cells"])]
    return cell


def _changed(cell: Book, source: str) -> None:
    cell["source"] = source


def _edit(who: Person, book: Book, a: int, b: int) -> None:
    _changed(_of(book, a), f"{who.word()} = {b}\nrest = 0\n\nlast = {b}")


def _line(who: Person, book: Book, a: int, b: int) -> None:
    cell = _of(book, a)
    lines = cell["source"].split("\n")
    at = b % len(lines)
    indent = lines[at][:len(lines[at]) - len(lines[at].lstrip())]
    lines[at] = f"{indent}{who.word()} = 0{':' if lines[at].endswith(':') else ''}"
    _changed(cell, "\n".join(lines))


def _append(who: Person, book: Book, a: int, _b: int) -> None:
    cell = _of(book, a)
    _changed(cell, f"{cell['source']}\n{who.word()} = 0")


def _clear(_who: Person, book: Book, a: int, _b: int) -> None:
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            cell.update(outputs=[], execution_count=None)


def _drop(_who: Person, book: Book, a: int, _b: int) -> None:
    book["cells"].pop(a % len(book["cells"]))


def _insert(who: Person, book: Book, a: int, b: int) -> None:
    word = who.word()
    kind = "code" if b % 3 else "markdown"
    source = "" if b % 7 == 0 else f"{word} = {b}"
    book["cells"].insert(a % (len(book["cells"]) + 1), made(f"i{word}", kind, source))


def _swap(_who: Person, book: Book, a: int, b: int) -> None:
    cell = book["cells"].pop(a % len(book["cells"]))
    book["cells"].insert(b % (len(book["cells"]) + 1), cell)


def _run(_who: Person, book: Book, a: int, b: int) -> None:
    cell = _of(book, a)
    if cell["cell_type"] == "code":
        text = f"ran as {b}"
        cell["execution_count"] = b + 1
        cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": text}]


def _copy(_who: Person, book: Book, a: int, b: int) -> None:
    """With its id and all its metadata, as some editors do."""
    book["cells"].insert(b % (len(book["cells"]) + 1), deepcopy(_of(book, a)))


def _split(who: Person, book: Book, a: int, b: int) -> None:
    cell = _of(book, a)
    lines = cell["source"].split("\n")
    at = b % len(lines)
    rest = made(f"s{who.word()}", "markdown", "\n".join(lines[at:]))
    _changed(cell, "\n".join(lines[:at]))
    book["cells"].insert(a % len(book["cells"]) + 1, rest)


def _kind(_who: Person, book: Book, a: int, _b: int) -> None:
    place = a % len(book["cells"])
    cell = book["cells"][place]
    kind = "markdown" if cell["cell_type"] == "code" else "code"
    book["cells"][place] = made(cell.get("id", ""), kind, cell["source"]) | {
        "metadata": cell["metadata"]}
    if "id" not in cell:
        del book["cells"][place]["id"]


def _noids(_who: Person, book: Book, _a: int, _b: int) -> None:
    book["nbformat_minor"] = 4
    for cell in book["cells"]:
        cell.pop("id", None)


def _newids(who: Person, book: Book, _a: int, _b: int) -> None:
    for cell in book["cells"]:
        cell["id"] = f"n{who.word()}"


def _tag(who: Person, book: Book, a: int, b: int) -> None:
    _of(book, a)["metadata"][f"{'own' if b % 2 else 'tag'}-{b % 5}"] = who.word()


def _lines(_who: Person, book: Book, _a: int, _b: int) -> None:
    """Saved by a tool that writes lists of lines."""
    for cell in book["cells"]:
        if isinstance(cell["source"], str):
            cell["source"] = Lines(cell["source"])


class Lines(str):
    """A text that is written as a list of lines: steps read it as a text."""

    __slots__ = ()


def _marks(book: Book) -> list[int]:
    return [i for i, x in enumerate(book["cells"]) if "madang" in x["metadata"]]


def _resolve(_who: Person, book: Book, a: int, _b: int) -> None:
    if found := _marks(book):
        del book["cells"][found[a % len(found)]]


def _adopt(_who: Person, book: Book, a: int, _b: int) -> None:
    """Deletes their own cell, and lets the instructor's stand."""
    if found := _marks(book):
        of = book["cells"][found[a % len(found)]]["metadata"]["madang"]["new_version_of"]
        book["cells"] = [x for x in book["cells"] if x.get("id") != of]


def _work(who: Person, book: Book, a: int, _b: int) -> None:
    """Goes on in the instructor's version."""
    if found := _marks(book):
        _append(who, book, found[a % len(found)], 0)


def _kernel(who: Person, book: Book, _a: int, _b: int) -> None:
    book["metadata"]["kernelspec"] = {"name": "python3", "display_name": who.word()}


def _title(who: Person, book: Book, _a: int, _b: int) -> None:
    book["metadata"]["title"] = who.word()


_STEPS: dict[str, Callable[[Person, Book, int, int], None]] = {
    "edit": _edit, "line": _line, "append": _append, "clear": _clear, "drop": _drop,
    "insert": _insert, "swap": _swap, "run": _run, "copy": _copy, "split": _split, "kind": _kind,
    "noids": _noids, "newids": _newids, "tag": _tag, "resolve": _resolve, "adopt": _adopt,
    "work": _work, "lines": _lines, "kernel": _kernel, "title": _title,
}


def saved(book: Book) -> Book:
    """The notebook as a file has it."""
    cells = [
        {**x, "source": x["source"].splitlines(keepends=True)}
        if isinstance(x["source"], Lines) else x for x in book["cells"]
    ]
    return {**book, "cells": cells}


def loaded(book: Book) -> Book:
    """The notebook with each source as one text."""
    return {**book, "cells": [{**x, "source": "".join(x["source"])} for x in book["cells"]]}
