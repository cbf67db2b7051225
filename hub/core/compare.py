"""Two runs of one notebook beside each other, cell by cell.

Cells are paired by their ids, then by equal source: a notebook of format 4.4 gets new ids each time
it is read. Whoever pairs what is left by likeness (nbdime) is handed in. Both notebooks were
written by whoever wrote the notebook: every size here has a limit.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum
from typing import Any

from hub.core.notebook import sayable, text_of
from hub.core.pictures import Picture, Room, pictures_of

_MOST_CELLS = 200  # that differ, and are told of
_MOST_LINES = 1000  # of one source: beyond it, difflib takes seconds
_CONTEXT = 2
_LONGEST = 400  # characters of a line
_PICTURE_BYTES = 6_000_000
# papermill's own cells: where an error was, and what was injected
_ERROR, _INJECTED = "papermill-error-cell-tag", "injected-parameters"


class Fate(StrEnum):
    """What became of a cell between the two runs. SAME ones are told of for their outputs."""

    SAME = "same"
    CHANGED = "changed"
    ADDED = "added"
    REMOVED = "removed"


@dataclass(frozen=True)
class Line:
    """A line of a source: `mark` is "+", "-", " ", or "…" where equal lines are left out."""

    mark: str
    text: str


@dataclass(frozen=True)
class CellChange:
    """A cell that differs. `before` and `after` are its places, counted from 1.

    `outputs`: whether they differ. Where they do, `pictures` are the pictures before and after.
    """

    fate: Fate
    kind: str
    before: int | None
    after: int | None
    lines: tuple[Line, ...] = ()
    outputs: bool = False
    pictures: tuple[tuple[Picture, ...], tuple[Picture, ...]] = ((), ())


@dataclass(frozen=True)
class Comparison:
    """All cells that differ, in the later run's order; how many there are of each.

    `outputs` counts cells whose outputs differ. `cut`: not all that differ are in `cells`.
    """

    cells: tuple[CellChange, ...] = ()
    same: int = 0
    changed: int = 0
    added: int = 0
    removed: int = 0
    outputs: int = 0
    cut: bool = False

    @property
    def alike(self) -> bool:
        """Whether nothing differs."""
        return not self.cells


@dataclass(frozen=True)
class Cell:
    """A cell as it is compared; `place` counts from 1 in the notebook as it is."""

    place: int
    id: str
    kind: str
    source: str
    outputs: Sequence[Any]


Pairs = Sequence[tuple[int, int]]
Alike = Callable[[Sequence[Cell], Sequence[Cell]], Pairs]


def nobody(_before: Sequence[Cell], _after: Sequence[Cell]) -> Pairs:
    """Pairs none by likeness."""
    return ()


def compared(
    before: Mapping[str, Any], after: Mapping[str, Any], alike: Alike = nobody
) -> Comparison:
    """What differs between two notebooks, as they were parsed.

    Args:
        alike: given the cells of both that are left over, pairs of their indexes.
    """
    old, new = cells_of(before), cells_of(after)
    pairs = _paired(old, new, alike)
    every = _changes(old, new, pairs, Room(_PICTURE_BYTES))
    changes = [x for x in every if x.fate is not Fate.SAME or x.outputs]
    counts = {fate: sum(x.fate is fate for x in changes) for fate in Fate}
    return Comparison(
        cells=tuple(changes[:_MOST_CELLS]),
        same=len(pairs) - counts[Fate.CHANGED], changed=counts[Fate.CHANGED],
        added=counts[Fate.ADDED], removed=counts[Fate.REMOVED],
        outputs=sum(x.outputs for x in changes), cut=len(changes) > _MOST_CELLS,
    )


def cells_of(notebook: Mapping[str, Any]) -> list[Cell]:
    """The cells; what papermill puts around an error is left out."""
    found = notebook.get("cells")
    return [
        made for i, x in enumerate(found if isinstance(found, list) else [])
        if (made := _cell(i + 1, x)) is not None
    ]


def _cell(place: int, found: object) -> Cell | None:
    if not isinstance(found, Mapping):
        return None
    metadata = found.get("metadata")
    tags = metadata.get("tags") if isinstance(metadata, Mapping) else None
    tags = tags if isinstance(tags, list) else []
    if _ERROR in tags:
        return None
    id, outputs = found.get("id"), found.get("outputs")
    return Cell(
        place, _INJECTED if _INJECTED in tags else id if isinstance(id, str) else "",
        sayable(str(found.get("cell_type"))[:20]), text_of(found.get("source")),
        outputs if isinstance(outputs, list) else [],
    )


# ---- pairs ---------------------------------------------------------------------------------------


def _paired(old: Sequence[Cell], new: Sequence[Cell], alike: Alike) -> dict[int, int]:
    """Index in `new` → index in `old`."""
    pairs: dict[int, int] = {}
    for key in (_by_id, _by_source):
        there = _indexes(old, set(pairs.values()), key)
        for i, cell in enumerate(new):
            if i not in pairs and there[key(cell)]:
                pairs[i] = there[key(cell)].popleft()
    taken = set(pairs.values())
    left = [i for i in range(len(old)) if i not in taken]
    right = [i for i in range(len(new)) if i not in pairs]
    if left and right:
        found = alike([old[i] for i in left], [new[i] for i in right])
        pairs |= {right[j]: left[i] for i, j in found}
    return pairs


def _indexes(
    cells: Sequence[Cell], taken: set[int], key: Callable[[Cell], object]
) -> dict[object, deque[int]]:
    found: dict[object, deque[int]] = defaultdict(deque)
    for i, cell in enumerate(cells):
        if i not in taken and key(cell) is not None:
            found[key(cell)].append(i)
    return found


def _by_id(cell: Cell) -> object:
    return (cell.kind, cell.id) if cell.id else None


def _by_source(cell: Cell) -> object:
    return (cell.kind, cell.source)


# ---- what differs --------------------------------------------------------------------------------


def _changes(
    old: Sequence[Cell], new: Sequence[Cell], pairs: Mapping[int, int], room: Room
) -> Iterator[CellChange]:
    """Every cell of both: the later run's, and behind each those removed after it."""
    places = {i: j for j, i in pairs.items()}
    behind: dict[int, list[Cell]] = defaultdict(list)
    last = -1
    for i, cell in enumerate(old):
        if i in places:
            last = places[i]
        else:
            behind[last].append(cell)
    yield from map(_removed, behind[-1])
    for j, cell in enumerate(new):
        yield _kept(old[pairs[j]], cell, room) if j in pairs else _added(cell, room)
        yield from map(_removed, behind[j])


def _removed(cell: Cell) -> CellChange:
    return CellChange(Fate.REMOVED, cell.kind, cell.place, None, _all("-", cell.source))


def _added(cell: Cell, room: Room) -> CellChange:
    return CellChange(
        Fate.ADDED, cell.kind, None, cell.place, _all("+", cell.source),
        pictures=((), room.look(pictures_of(cell.outputs))),
    )


def _kept(old: Cell, new: Cell, room: Room) -> CellChange:
    same = old.source == new.source and old.kind == new.kind
    differ = _said(old) != _said(new)
    return CellChange(
        Fate.SAME if same else Fate.CHANGED, new.kind, old.place, new.place,
        () if same else tuple(_diff(old.source, new.source)), outputs=differ,
        pictures=_pictures(old, new, room) if differ else ((), ()),
    )


def _said(cell: Cell) -> list[object]:
    """The outputs without what changes with every run: counts, and marks for live updates."""
    return [
        {k: v for k, v in x.items() if k not in ("execution_count", "transient", "metadata")}
        if isinstance(x, Mapping) else x for x in cell.outputs
    ]


def _pictures(
    old: Cell, new: Cell, room: Room
) -> tuple[tuple[Picture, ...], tuple[Picture, ...]]:
    """Before and after; none where all are the same."""
    first, second = list(pictures_of(old.outputs)), list(pictures_of(new.outputs))
    return ((), ()) if first == second else (room.look(first), room.look(second))


def _all(mark: str, source: str) -> tuple[Line, ...]:
    lines = source.splitlines()
    shown = [Line(mark, _short(x)) for x in lines[:_MOST_LINES]]
    return (*shown, *([Line("…", "")] if len(lines) > _MOST_LINES else []))


def _diff(old: str, new: str) -> Iterator[Line]:
    first, second = old.splitlines(), new.splitlines()
    if max(len(first), len(second)) > _MOST_LINES:
        yield Line("…", "")
        return
    for group in SequenceMatcher(None, first, second).get_grouped_opcodes(_CONTEXT):
        if group[0][1] or group[0][3]:
            yield Line("…", "")
        for tag, a, b, c, d in group:
            if tag == "equal":
                yield from (Line(" ", _short(x)) for x in first[a:b])
            else:
                yield from (Line("-", _short(x)) for x in first[a:b])
                yield from (Line("+", _short(x)) for x in second[c:d])


def _short(line: str) -> str:
    return sayable(line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…")
