"""nbdime pairs what neither id nor source pairs, and never takes long."""

import time

from hub.core.compare import Fate, compared
from hub.edge.diffing import alike
from tests.notebooks import code, notebook, printed, text

LONG = "def train(model, data):\n    for x, y in data:\n        loss = step(model, x, y)\n"


def test_an_edited_cell_with_a_new_id_is_the_same_cell() -> None:
    before = notebook(code("1", "import torch"), code("2", LONG), code("3", "gone = 1 + 1"))
    after = notebook(
        code("4", "print('new here')"), code("5", "import torch"),
        code("6", f"{LONG}        log(loss)\n", printed("0.1")),
    )
    found = compared(before, after, alike)
    assert [(x.fate, x.before, x.after) for x in found.cells] == [
        (Fate.ADDED, None, 1), (Fate.CHANGED, 2, 3), (Fate.REMOVED, 3, None),
    ]


def test_cells_of_different_kinds_are_never_one() -> None:
    found = compared(notebook(text("a", LONG)), notebook(code("b", f"{LONG}#")), alike)
    assert (found.added, found.removed) == (1, 1)


def test_short_cells_are_not_one_because_they_are_short() -> None:
    found = compared(notebook(code("a", "gone")), notebook(code("b", "plot()")), alike)
    assert (found.added, found.removed) == (1, 1)


def test_pairs_are_of_the_cells_that_were_handed_in() -> None:
    before = notebook(*(code(f"a{i}", f"{LONG}value_{i} = {i}") for i in range(6)))
    after = notebook(*(code(f"b{i}", f"{LONG}value_{i} = {i}!") for i in range(1, 6)))
    found = compared(before, after, alike)
    changed = [(x.before, x.after) for x in found.cells if x.fate is Fate.CHANGED]
    assert len(changed) == 5
    assert len({x for x, _ in changed}) == len({x for _, x in changed}) == 5


def test_many_cells_that_are_not_alike_take_no_time() -> None:
    # nbdime alone takes more than a minute for a hundred of them
    before = notebook(*(code(f"a{i}", f"{hash(i) * 7919}\n" * 40) for i in range(300)))
    after = notebook(*(code(f"b{i}", f"{hash(i) * 104729}\n" * 40) for i in range(1, 301)))
    begun = time.process_time()
    found = compared(before, after, alike)
    assert time.process_time() - begun < 10
    assert (found.added, found.removed) == (300, 300)
