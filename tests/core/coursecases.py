"""The 22 cases of the research (notebooks.md, 4.3): what a student and an instructor do to one lab.

Every text of the student's has STUDENT in it, every one of the instructor's INSTRUCTOR: a result
is searched for them. Tests and `tests/bench/course.py` share the cases.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

Book = dict[str, Any]
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
LAB = (
    ("t0", "# Lab 3: a first network\n\nWork through it from top to bottom."),
    ("c01", "import torch\nimport torch.nn as nn\n\ntorch.manual_seed(0)"),
    ("h1", "## 1. Tensors"),
    ("c11", "x = torch.arange(12)\ny = x.reshape(3, 4)\nprint(y.shape)"),
    ("c12", "device = 'cuda' if torch.cuda.is_available() else 'cpu'\nprint(device)"),
    ("h2", "## 2. A layer"),
    ("c21", "def layer(x, w, b):\n    # compute the output\n    z = x @ w\n\n    return z\n\n"
            "print(layer)"),
    ("h3", "## 3. The network"),
    ("c31", "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
            "        self.fc = nn.Linear(4, 2)\n\n    def forward(self, x):\n"
            "        raise NotImplementedError"),
    ("c32", "net = Net()\nprint(sum(p.numel() for p in net.parameters()))"),
    ("h4", "## 4. Training"),
    ("c41", "losses = []\nfor epoch in range(3):\n    loss = step(net)\n    losses.append(loss)\n"
            "\nprint(losses)"),
    ("h5", "## 5. Questions"),
    ("q51", "**5.1** Why does the loss fall?"),
    ("a51", "*Your answer to 5.1:*"),
    ("a52", "**5.2** What would a larger rate do?\n\n*Your answer to 5.2:*"),
)


@dataclass(frozen=True)
class Case:
    """One of the 22. `student`, `instructor`: texts that must not be lost.

    `verbatim`: whole sources that must be a cell of the result, unless it is told that they were
    merged line by line.
    """

    name: str
    says: str
    base: Book
    new: Book
    mine: Book
    student: tuple[str, ...]
    instructor: tuple[str, ...]
    verbatim: tuple[str, ...] = ()


# ---- making and changing notebooks ---------------------------------------------------------------


def cell(id: str, source: str) -> Book:
    """A cell; those with an id that begins with c are code."""
    found: Book = {"cell_type": "code" if id.startswith("c") else "markdown", "id": id,
                  "metadata": {}, "source": source}
    return found | ({"outputs": [], "execution_count": None} if id.startswith("c") else {})


def book(*cells: Book, **metadata: Any) -> Book:
    return {"cells": list(cells), "metadata": {"kernelspec": KERNEL, **metadata},
            "nbformat": 4, "nbformat_minor": 5}


def lab() -> Book:
    return book(*(cell(id, source) for id, source in LAB))


def made(**sources: str) -> Book:
    """Code for names with c, else text."""
    return book(*(cell(id, text) for id, text in sources.items()))


def ids(found: Any) -> list[str]:
    found = getattr(found, "notebook", found)
    return [x["id"] for x in found["cells"]]


def fates(found: Any) -> list[tuple[str, str]]:
    return [(x.id, x.fate) for x in found.cells]


def at(found: Book, id: str) -> int:
    return next(i for i, x in enumerate(found["cells"]) if x["id"] == id)


def source(found: Book, id: str) -> str:
    return str(found["cells"][at(found, id)]["source"])


def changed(found: Book, **sources: str) -> Book:
    found = deepcopy(found)
    for id, text in sources.items():
        found["cells"][at(found, id)]["source"] = text
    return found


def edit(found: Book, id: str, old: str, new: str) -> None:
    text = source(found, id)
    assert old in text
    found["cells"][at(found, id)]["source"] = text.replace(old, new)


def put(found: Book, behind: str, *cells: Book) -> None:
    place = at(found, behind) + 1 if behind else 0
    found["cells"][place:place] = cells


def drop(found: Book, *ids: str) -> None:
    found["cells"] = [x for x in found["cells"] if x["id"] not in ids]


def move(found: Book, id: str, behind: str) -> None:
    one = found["cells"].pop(at(found, id))
    put(found, behind, one)


def run(found: Book, *ids: str, says: str = "STUDENT", first: int = 1) -> None:
    """As if these cells (all: none named) had been run."""
    for count, x in enumerate(found["cells"], first):
        if x["cell_type"] == "code" and (not ids or x["id"] in ids):
            x["execution_count"] = count
            x["metadata"]["execution"] = {"shell.execute_reply": f"2026-11-23T05:{count:02}:00Z"}
            x["outputs"] = [{"output_type": "stream", "name": "stdout",
                             "text": f"{says} ran {x['id']} as {count}\n"}]


# ---- the cases -----------------------------------------------------------------------------------

_Change = Callable[[Book], None]


def _three(mine: _Change, new: _Change, base: _Change | None = None) -> dict[str, Book]:
    first = lab()
    if base:
        base(first)
    books = {"base": first, "new": deepcopy(first), "mine": deepcopy(first)}
    mine(books["mine"])
    new(books["new"])
    return books


def _edits(*changes: tuple[str, str, str]) -> _Change:
    def change(found: Book) -> None:
        for id, old, new in changes:
            edit(found, id, old, new)
    return change


def _all(*steps: _Change) -> _Change:
    def change(found: Book) -> None:
        for x in steps:
            x(found)
    return change


def _edited_cells() -> Iterator[Case]:
    theirs = _edits(("c11", "x.reshape(3, 4)", "x.reshape(4, 3)  # INSTRUCTOR"))
    own = _edits(("c21", "    z = x @ w", "    z = x @ w + b  # STUDENT"))
    yield Case("c1", "student changes cell A, instructor cell B", **_three(own, theirs),
               student=("# STUDENT",), instructor=("# INSTRUCTOR",))
    yield Case("c2a", "both change one line", **_three(
        _edits(("c12", "print(device)", "print(device, 1)  # STUDENT")),
        _edits(("c12", "print(device)", "print('on', device)  # INSTRUCTOR")),
    ), student=("print(device, 1)  # STUDENT",), instructor=("print('on', device)  # INSTRUCTOR",),
        verbatim=("device = 'cuda' if torch.cuda.is_available() else 'cpu'\n"
                  "print(device, 1)  # STUDENT",))
    yield Case("c2b", "both change one cell, other lines", **_three(
        own, _edits(("c21", "print(layer)", "print(layer.__name__)  # INSTRUCTOR")),
    ), student=("z = x @ w + b  # STUDENT",), instructor=("print(layer.__name__)  # INSTRUCTOR",))
    yield Case("c2c", "both change the text of one answer", **_three(
        _edits(("a51", "*Your answer to 5.1:*", "*Your answer to 5.1:* STUDENT: the gradient.")),
        _edits(("a51", "*Your answer to 5.1:*", "*Your answer to 5.1, INSTRUCTOR: two lines:*")),
    ), student=("STUDENT: the gradient.",), instructor=("INSTRUCTOR: two lines",),
        verbatim=("*Your answer to 5.1:* STUDENT: the gradient.",))


def _run_cells() -> Iterator[Case]:
    yield Case("c3a", "student ran all, instructor edits a text", **_three(
        run, _edits(("q51", "**5.1**", "**5.1 INSTRUCTOR**")),
    ), student=("STUDENT ran c11",), instructor=("5.1 INSTRUCTOR",))
    yield Case("c3b", "student ran all, instructor edits code", **_three(
        run, _edits(("c11", "reshape(3, 4)", "reshape(4, 3)  # INSTRUCTOR")),
    ), student=("STUDENT ran c12",), instructor=("# INSTRUCTOR",))
    yield Case("c3c", "both ran all, the release has outputs", **_three(
        lambda x: run(x, first=20),
        _all(lambda x: run(x, says="teacher", first=40),
             _edits(("q51", "**5.1**", "**5.1 INSTRUCTOR**"))),
        lambda x: run(x, says="teacher"),
    ), student=("STUDENT ran c11",), instructor=("5.1 INSTRUCTOR",))


def _inserted_cells() -> Iterator[Case]:
    own = (cell("c-own", "scratch = y.sum()  # STUDENT 1"), cell("m-own", "STUDENT 2: a note"))
    add = cell("c13", "print(y.T)  # INSTRUCTOR")
    like = cell("c-like", "print(y.T)  # STUDENT 1")
    yield Case("c4a", "student inserts two cells, instructor edits their neighbour", **_three(
        lambda x: put(x, "c11", *own),
        _edits(("c11", "reshape(3, 4)", "reshape(4, 3)  # INSTRUCTOR")),
    ), student=("STUDENT 1", "STUDENT 2"), instructor=("INSTRUCTOR",))
    yield Case("c4b", "both insert at one place", **_three(
        lambda x: put(x, "c11", like, own[1]), lambda x: put(x, "c11", add),
    ), student=("STUDENT 1", "STUDENT 2"), instructor=("INSTRUCTOR",))
    yield Case("c4c", "both append at the end", **_three(
        lambda x: put(x, "a52", own[0]),
        lambda x: put(x, "a52", cell("q53", "**5.3** INSTRUCTOR: and a smaller one?")),
    ), student=("STUDENT 1",), instructor=("5.3** INSTRUCTOR",))


def _deleted_cells() -> Iterator[Case]:
    answer = ("a51", "*Your answer to 5.1:*", "*Your answer to 5.1:* STUDENT: it steps downhill.")
    yield Case("c5a", "instructor deletes a heading and a cell that the student answered", **_three(
        _edits(answer), lambda x: drop(x, "q51", "a51"),
    ), student=("STUDENT: it steps",), instructor=(), verbatim=(answer[2],))
    yield Case("c5b", "instructor deletes code that the student changed and ran", **_three(
        _all(_edits(("c41", "range(3):", "range(30):  # STUDENT")), run), lambda x: drop(x, "c41"),
    ), student=("range(30):  # STUDENT",), instructor=())
    yield Case("c5c", "student deletes a cell that the instructor edits", **_three(
        lambda x: drop(x, "c32"), _edits(("c32", "net = Net()", "net = Net()  # INSTRUCTOR")),
    ), student=(), instructor=("# INSTRUCTOR",))
    yield Case("c5d", "instructor deletes a cell that the student only ran", **_three(
        run, lambda x: drop(x, "c32"),
    ), student=("STUDENT ran c31",), instructor=())


def _moved_cells() -> Iterator[Case]:
    def section(found: Book) -> None:
        for id in ("c41", "h4"):
            move(found, id, "c21")

    yield Case("c6a", "instructor moves a section, nobody edits", **_three(run, section),
               student=("STUDENT ran c41",), instructor=())
    first = ("a51", "*Your answer to 5.1:*", "*Your answer to 5.1:* STUDENT 1")
    second = ("a52", "*Your answer to 5.2:*", "*Your answer to 5.2:* STUDENT 2")
    yield Case("c6b", "instructor swaps two cells that the student answered", **_three(
        _edits(first, second), lambda x: move(x, "a51", "a52"),
    ), student=("STUDENT 1", "STUDENT 2"), instructor=(), verbatim=(first[2],))
    yield Case("c6c", "instructor moves code that the student changed and ran", **_three(
        _all(_edits(("c21", "    z = x @ w", "    z = x @ w + b  # STUDENT")), run),
        lambda x: move(x, "c21", "c32"),
    ), student=("# STUDENT", "STUDENT ran c21"), instructor=())


def _other_tools() -> Iterator[Case]:
    def renamed(found: Book) -> None:
        for i, x in enumerate(found["cells"]):
            x["id"] = f"fresh{i:03}"

    def older(found: Book) -> None:
        found["nbformat_minor"] = 4
        for x in found["cells"]:
            del x["id"]

    def kernel(name: str) -> _Change:
        def change(found: Book) -> None:
            found["metadata"]["kernelspec"] = {**KERNEL, "display_name": name}
        return change

    own = _edits(("c21", "    z = x @ w", "    z = x @ w + b  # STUDENT"))
    theirs = _edits(("c11", "x.reshape(3, 4)", "x.reshape(4, 3)  # INSTRUCTOR"))
    yield Case("c7a", "instructor's tool made all ids anew", **_three(own, _all(theirs, renamed)),
               student=("# STUDENT",), instructor=("# INSTRUCTOR",))
    yield Case("c7b", "student's tool saved format 4.4, without ids",
               **_three(_all(own, older), theirs),
               student=("# STUDENT",), instructor=("# INSTRUCTOR",))
    yield Case("c7c", "both have another kernel", **_three(
        _all(own, kernel("STUDENT's")), _all(theirs, kernel("teacher's"))),
               student=("# STUDENT", "STUDENT's"), instructor=("# INSTRUCTOR",))


def _rewritten_cells() -> Iterator[Case]:
    def split(found: Book) -> None:
        edit(found, "c41", "\n\nprint(losses)", "")
        put(found, "c41", cell("c-rest", "# STUDENT\nprint(losses)"))

    yield Case("c8", "student splits a cell, instructor edits its last line", **_three(
        split, _edits(("c41", "print(losses)", "print(losses[-1])  # INSTRUCTOR")),
    ), student=("# STUDENT\nprint(losses)",), instructor=("print(losses[-1])  # INSTRUCTOR",))
    filled = ("c31", "        raise NotImplementedError",
              "        x = torch.relu(self.fc(x))  # STUDENT\n        return x")
    yield Case("c9", "both rewrite a cell, instructor also inserts on top", **_three(
        _edits(filled),
        _all(_edits(("c31", source(lab(), "c31"), "from course import Net  # INSTRUCTOR 1\nNet()")),
             lambda x: put(x, "", cell("h0", "INSTRUCTOR 2: read this first"))),
    ), student=("x = torch.relu(self.fc(x))  # STUDENT", "class Net(nn.Module):"),
        instructor=("INSTRUCTOR 1", "INSTRUCTOR 2"),
        verbatim=(source(lab(), "c31").replace(filled[1], filled[2]),))


CASES = tuple(
    case for some in (_edited_cells, _run_cells, _inserted_cells, _deleted_cells, _moved_cells,
                      _other_tools, _rewritten_cells) for case in some()
)
BY_NAME = {x.name: x for x in CASES}
