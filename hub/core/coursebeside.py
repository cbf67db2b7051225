"""New versions that stand beside a student's cells, and what the student says to them."""

from collections.abc import Iterable, Mapping
from typing import Any

from hub.core.coursecells import (
    MARK,
    RUN,
    Cell,
    Unreadable,
    cells_of,
    mark_of,
    unmarked,
    whole,
    written,
)
from hub.errors import BadInput

Notebook = Mapping[str, Any]


def beside_of(notebook: object) -> tuple[tuple[str, str], ...]:
    """(id of the cell, id of its new version) of those that wait for the student's word.

    The cell may be missing: the student had deleted it. Where they deleted it after they saw the
    new version, that was their word. What is no notebook has none.
    """
    try:
        cells = cells_of(notebook)
    except Unreadable:
        return ()
    return waiting((x.id, x.metadata) for x in cells)


def waiting(cells: Iterable[tuple[str, Mapping[str, Any]]]) -> tuple[tuple[str, str], ...]:
    """The same of cells by their ids and metadata."""
    cells = list(cells)
    ids = {id for id, _ in cells}
    found: dict[str, str] = {}
    for id, metadata in cells:
        mark = mark_of(metadata)
        if mark and id and (mark[MARK] in ids or mark.get("deleted")):
            found.setdefault(mark[MARK], id)
    return tuple(found.items())


def take(notebook: Notebook, cell_id: str) -> dict[str, Any]:
    """The notebook with the new version in the place of the student's cell.

    Raises:
        BadInput: no new version of this cell stands there; what is given is no notebook.
    """
    cells, at, version_at = _found(notebook, cell_id)
    version = cells[version_at]
    if at < 0:
        return _with(notebook, {version_at: written(version, cell_id, unmarked(version))})
    # the student's metadata have the instructor's changes already, and nbgrader's, which the new
    # version does without
    meta = {k: v for k, v in cells[at].metadata.items() if k not in RUN}
    return _with(notebook, {at: written(version, cell_id, meta), version_at: None})


def keep(notebook: Notebook, cell_id: str) -> dict[str, Any]:
    """The notebook without the new version: the student's cell stays, or stays deleted.

    Raises:
        BadInput: no new version of this cell stands there; what is given is no notebook.
    """
    _, _, version_at = _found(notebook, cell_id)
    return _with(notebook, {version_at: None})


def executed(notebook: object) -> tuple[int, int]:
    """How many code cells were run, of how many; empty ones and new versions do not count.

    What is no notebook has none.
    """
    try:
        cells = [x for x in cells_of(notebook) if x.kind == "code" and x.source.strip()]
    except Unreadable:
        return 0, 0
    ours = [x for x in cells if not x.version_of]
    counts = [x.raw.get("execution_count") for x in ours]
    return sum(whole(x) and x > 0 for x in counts), len(ours)


def _found(notebook: Notebook, cell_id: str) -> tuple[list[Cell], int, int]:
    """The cells, the index of the cell (-1: deleted) and of its new version."""
    cells = cells_of(notebook)
    versions = [i for i, x in enumerate(cells) if x.version_of == cell_id]
    if not cell_id or not versions:
        raise BadInput(
            "No new version stands beside this cell (any more).", reason="no-new-version",
            detail=f"cell {cell_id[:80]!r}",
        )
    at = next((i for i, x in enumerate(cells) if x.id == cell_id), -1)
    return cells, at, versions[0]


def _with(notebook: Notebook, changed: Mapping[int, dict[str, Any] | None]) -> dict[str, Any]:
    """The notebook with these cells in their places; None takes one out."""
    cells = [changed.get(i, x) for i, x in enumerate(notebook["cells"])]
    return {**notebook, "cells": [x for x in cells if x is not None]}
