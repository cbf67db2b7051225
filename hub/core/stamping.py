"""A notebook as it is handed out: each cell with an id, nothing of the instructor's runs.

The ids are what later releases are merged by, so they stay from release to release, also where the
instructor's tools lose them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hub.core.coursecells import (
    FORMAT,
    MINOR,
    RUN,
    Cell,
    Ids,
    cells_of,
    is_id,
    minor_of,
    plain,
    sourced,
    stem_of,
    whole,
    written,
)
from hub.core.coursepairs import Known, paired
from hub.errors import BadInput, Text

KEEP_OUTPUT = "keep-output"  # the tag of a cell whose outputs are handed out
_RUN = (*RUN, "papermill")


@dataclass(frozen=True)
class Normalised:
    """A notebook that can be handed out, and what was changed for that."""

    notebook: dict[str, Any]
    notes: tuple[Text, ...]


def normalise(new: Mapping[str, Any], previous: Mapping[str, Any] | None) -> Normalised:
    """The notebook in format 4.5 with unique ids, without outputs (but of cells `keep-output`).

    Args:
        previous: the same notebook in the last release: cells keep the ids they had there.

    Raises:
        BadInput: two cells have one id (reason "duplicate-ids"); or it is no notebook of format 4
            (Unreadable).
    """
    cells = cells_of(new)
    _refuse_duplicates(cells)
    ids, notes = _ids(cells, cells_of(previous) if previous is not None else [])
    stripped = [_stripped(x, ids[i]) for i, x in enumerate(cells)]
    outputs = sum(_has_outputs(x) and not y.get("outputs") for x, y in zip(
        cells, stripped, strict=True))
    if outputs:
        notes.append(Text("Outputs removed: {count} cells.", count=outputs))
    versions = sum(bool(x.version_of) for x in cells)
    if versions:
        notes.append(Text(
            "{count} cells were marked as new versions of others; they are ordinary cells now.",
            count=versions,
        ))
    minor = new.get("nbformat_minor")
    if not whole(minor) or minor < MINOR:
        notes.append(Text("Converted to format 4.5."))
    return Normalised(_notebook(new, stripped), tuple(notes))


def _refuse_duplicates(cells: Sequence[Cell]) -> None:
    first: dict[str, int] = {}
    for number, x in enumerate(cells, 1):
        id = x.raw.get("id")
        if is_id(id) and first.setdefault(id, number) != number:
            raise BadInput(
                "Cells {first} and {second} have the same id, {id}. Delete one of them, make it "
                "anew in JupyterLab, save, and push again.", reason="duplicate-ids",
                first=first[id], second=number, id=id,
            )


def _ids(cells: Sequence[Cell], before: Sequence[Cell]) -> tuple[list[str], list[Text]]:
    """An id for each cell: the last release's, else its own, else one of its content."""
    known = [Known((x.id,) if x.id else (), (x.content,), x) for x in before]
    pairs = {i: before[k].id for i, k in paired(known, cells).items() if before[k].id}
    ids = Ids(x.id for x in before)
    own = {i: x.id for i, x in enumerate(cells) if i not in pairs and ids.claim(x.id)}
    found = [
        pairs.get(i) or own.get(i) or ids.fresh(stem_of(x)) for i, x in enumerate(cells)
    ]
    carried = sum(x.id != pairs[i] for i, x in enumerate(cells) if i in pairs)
    made = sum(i not in pairs and i not in own for i in range(len(cells)))
    notes = []
    if carried:
        notes.append(Text(
            "{count} cells have other ids than in the last release; they keep those.",
            count=carried,
        ))
    if made:
        notes.append(Text("{count} cells had no id of their own and were given one.", count=made))
    return found, notes


def _stripped(cell: Cell, id: str) -> dict[str, Any]:
    cell = plain(cell)
    meta = {k: v for k, v in cell.metadata.items() if k not in _RUN}
    found = written(sourced(cell, cell.source), id, meta)
    tags = meta.get("tags")
    if cell.kind == "code" and not (isinstance(tags, list) and KEEP_OUTPUT in tags):
        found |= {"outputs": [], "execution_count": None}
    return found


def _has_outputs(cell: Cell) -> bool:
    return cell.kind == "code" and bool(cell.raw.get("outputs"))


def _notebook(new: Mapping[str, Any], cells: list[dict[str, Any]]) -> dict[str, Any]:
    meta = dict(new.get("metadata") or {})
    if not any(x.get("outputs") for x in cells):
        meta.pop("widgets", None)  # what widgets showed: outputs, kept elsewhere
    return {"cells": cells, "metadata": meta, "nbformat": FORMAT, "nbformat_minor": minor_of(new)}
