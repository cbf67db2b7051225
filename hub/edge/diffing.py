"""nbdime: which cells of two notebooks are alike, where neither id nor equal source says it.

nbdime compares every cell with every other, letter by letter: a hundred cells that are not alike
take it a minute, and many images in one cell longer. So it is given stripped copies of few cells,
with the beginnings of their sources. `set_notebook_diff_targets` would be global to the process.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from nbdime.diffing.notebooks import diff_notebooks

from hub.core.compare import Cell

_MOST = 12  # cells of each side; measured: half a second where none are alike
_SHORTEST, _LONGEST = 10, 300  # characters of a source


def alike(before: Sequence[Cell], after: Sequence[Cell]) -> list[tuple[int, int]]:
    """(index before, index after) of cells that are alike; none where there are too many."""
    if max(len(before), len(after)) > _MOST:
        return []
    found = diff_notebooks(_stripped(before, "b"), _stripped(after, "a"))
    inside: list[Any] = next((x["diff"] for x in found if x["key"] == "cells"), [])
    pairs = _pairs(len(before), inside)
    return [
        (i, j) for i, j in pairs
        # to nbdime all short sources are alike
        if before[i].kind == after[j].kind
        and max(len(before[i].source), len(after[j].source)) >= _SHORTEST
    ]


def _stripped(cells: Sequence[Cell], mark: str) -> dict[str, Any]:
    """A notebook of these cells without outputs, metadata and counts; ids pair nothing here."""
    return {
        "nbformat": 4, "nbformat_minor": 5, "metadata": {},
        "cells": [
            {"cell_type": x.kind, "id": f"{mark}{i}", "metadata": {}, "source": x.source[:_LONGEST]}
            | ({"outputs": [], "execution_count": None} if x.kind == "code" else {})
            for i, x in enumerate(cells)
        ],
    }


def _pairs(count: int, ops: Sequence[Any]) -> Iterator[tuple[int, int]]:
    """Walk a diff of the list of cells: what is neither added nor removed is there in both."""
    added = {x["key"]: len(x["valuelist"]) for x in ops if x["op"] == "addrange"}
    removed = {
        x["key"] + i for x in ops if x["op"] == "removerange" for i in range(x["length"])
    }
    j = 0
    for i in range(count):
        j += added.get(i, 0)
        if i not in removed:
            yield i, j
            j += 1
