"""The course that ships as its releases: the first, a second one, and the answers in it."""

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.notebooks import code, text

COURSE = Path(__file__).parents[1] / "notebooks" / "torch-101"
LOOP, CONVOLUTION, TRANSFORMER = (
    "02-training-loop.ipynb", "03-convolution.ipynb", "04-transformer.ipynb",
)
# what the second release does, by notebook and cell; the others are as they were
REWORDED = ((LOOP, "t2-overfit-text"), (CONVOLUTION, "t3-shift-read"))
FIXED = (LOOP, "t2-split")
CLARIFIED = (LOOP, "t2-answer-2")  # a cell that students write into
ADDED = (LOOP, ("t2-ex-4", "t2-answer-4", "t2-check-4"))
REMOVED = (TRANSFORMER, "t4-order")
MOVED = (TRANSFORMER, ("t4-maps-text", "t4-maps"))
_LEFT_OUT = shutil.ignore_patterns(".ipynb_checkpoints", "__pycache__")

_EXERCISE = """\
### Exercise 4: how sure is that number?

With other patients in the test, the error would have been another one. The **bootstrap** asks how \
much it varies: draw as many patients from the test as it has, *with replacement*, compute the \
root of the mean squared error of these, and do so again and again.

Write `bootstrap(errors, draws)`: `errors` has shape (n,), what is wrong with each prediction; the \
result is the standard deviation of the `draws` errors found, as a float. *Hint:* \
`torch.randint(n, (draws, n))` draws all of them at once."""
_ANSWER = '''\
def bootstrap(errors, draws=2000):
    """(n,) → how much the root of the mean squared error varies."""
    # your answer
    return None'''
_SOLUTION = '''

# %% t2-answer-4
def bootstrap(errors, draws=2000):
    """(n,) → how much the root of the mean squared error varies."""
    drawn = torch.randint(len(errors), (draws, len(errors)))
    return errors[drawn].square().mean(dim=1).sqrt().std().item()
'''
_CHECK = """\
torch.manual_seed(seed)
tried = torch.randn(200)
again = tried[torch.randint(200, (4000, 200))].square().mean(dim=1).sqrt().std().item()
answer = bootstrap(tried, 4000)
if answer is None:
    print("Exercise 4: not answered yet")
elif abs(float(answer) - again) > 0.1 * again:
    print(f"Exercise 4: not yet. {float(answer):.4f}, and it should be about {again:.4f}.")
else:
    found = bootstrap(said - (y[test].cpu() * y_spread + y_mean), 4000)
    print(f"Exercise 4: right. The error of the network is {guessed_net:.1f} ± {found:.1f}.")"""


def first_release(folder: Path) -> Path:
    """The course as it ships, copied to `folder`, which is made."""
    shutil.copytree(COURSE, folder, ignore=_LEFT_OUT)
    return folder


def second_release(folder: Path) -> Path:
    """The course as its instructor would improve it after a week, in `folder`, which is made.

    A sentence mended in two notebooks, a bug fixed, a cell clarified that students write into, a
    new exercise, one cell removed, two moved, and a line in the README. 01-tensors.ipynb stays.
    """
    first_release(folder)
    _loop(folder / LOOP)
    _convolution(folder / CONVOLUTION)
    _transformer(folder / TRANSFORMER)
    readme = folder / "README.md"
    readme.write_text(_replaced(
        readme.read_text(encoding="utf-8"), "## 요약",
        "New in this release: `02-training-loop.ipynb` has a fourth exercise.\n\n## 요약",
    ), encoding="utf-8")
    with (folder / "solutions" / "02-training-loop.py").open("a", encoding="utf-8") as file:
        file.write(_SOLUTION)
    return folder


def cells(path: Path) -> dict[str, dict[str, Any]]:
    """A notebook's cells by their ids, in order."""
    return {x["id"]: x for x in _read(path)["cells"]}


def source(cell: Mapping[str, Any]) -> str:
    """A cell's text, whether it is kept whole or by lines."""
    return "".join(cell["source"])


def solutions(course: Path, notebook: str) -> dict[str, str]:
    """Cell id → the answer to an exercise of a notebook, as the instructor has it."""
    said = (course / "solutions" / notebook).with_suffix(".py").read_text(encoding="utf-8")
    parts = re.split(r"^# %% (\S+)\n", said, flags=re.MULTILINE)[1:]
    return {id: part.strip() for id, part in zip(parts[::2], parts[1::2], strict=True)}


def answer(path: Path, answers: Mapping[str, str]) -> None:
    """Write into a notebook's cells as a student does."""
    book = _read(path)
    found = {x["id"]: x for x in book["cells"]}
    for id, said in answers.items():
        found[id]["source"] = said
    _write(path, book)


# ---- the second release -----------------------------------------------------------------------


def _loop(path: Path) -> None:
    book = _read(path)
    _edit(book, "t2-overfit-text", "does not hold for others.", "does not hold for other patients.")
    _edit(book, FIXED[1], "/ x[train].std(dim=0)\n",
          "/ x[train].std(dim=0).clamp_min(1e-6)  # a column may never change\n")
    _edit(book, CLARIFIED[1],
          "The index of the best epoch that somebody with this patience would have seen.",
          "The index (from 0) of the best epoch up to the stop; of equal ones the first.")
    _put(book, "t2-test-read", (
        text("t2-ex-4", _EXERCISE), _code("t2-answer-4", _ANSWER), _code("t2-check-4", _CHECK),
    ))
    _write(path, book)


def _convolution(path: Path) -> None:
    book = _read(path)
    _edit(book, "t3-shift-read", "not perfect: the border", "not perfect, as the border")
    _write(path, book)


def _transformer(path: Path) -> None:
    """What the heads look at comes after the exercise on places; the shuffling is left out."""
    book = _read(path)
    moved = [x for x in book["cells"] if x["id"] in MOVED[1]]
    book["cells"] = [x for x in book["cells"] if x["id"] not in (REMOVED[1], *MOVED[1])]
    _put(book, "t4-check-2", moved)
    _write(path, book)


def _code(id: str, said: str) -> dict[str, Any]:
    return {**code(id, said), "metadata": {}, "execution_count": None}


def _edit(book: dict[str, Any], id: str, old: str, new: str) -> None:
    (cell,) = [x for x in book["cells"] if x["id"] == id]
    cell["source"] = _replaced(source(cell), old, new)


def _replaced(said: str, old: str, new: str) -> str:
    if said.count(old) != 1:
        raise ValueError(f"the course that ships has changed: {old!r} stands in it "
                         f"{said.count(old)} times; change tests/courses.py too")
    return said.replace(old, new)


def _put(book: dict[str, Any], after: str, more: Sequence[dict[str, Any]]) -> None:
    at = [x["id"] for x in book["cells"]].index(after) + 1
    book["cells"][at:at] = more


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _write(path: Path, book: Mapping[str, Any]) -> None:
    """As Jupyter writes it: sources by lines."""
    cells = [{**x, "source": source(x).splitlines(keepends=True)} for x in book["cells"]]
    path.write_text(
        json.dumps({**book, "cells": cells}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
