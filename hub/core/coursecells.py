"""The cells of a course's notebooks as the merge sees them, and the mark on those it puts beside.

"New version": an instructor's cell that stands in a student's notebook beside the student's own,
or in the place of one that the student had deleted. Its metadata say of which cell:
`{"madang": {"new_version_of": id}}`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, TypeGuard

from hub.core.notebook import text_of
from hub.errors import BadInput, Text

FORMAT, MINOR = 4, 5  # from 4.5 on cells have ids
_MINOR_MOST = 99
ID_MOST = 64
MARK = "new_version_of"
RUN = ("execution", "ExecuteTime")  # what a run writes into a cell's metadata
_OURS = "madang"
_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}", re.ASCII)
_KINDS = ("code", "markdown", "raw")
# in a copy they would do harm: nbgrader refuses a name given twice, and Lab would not let a student
# delete a new version that is not wanted
_HELD = ("nbgrader", "deletable", "editable")


class Unreadable(BadInput):
    """What was given is no notebook of format 4, or a cell of it is broken."""

    def __init__(self, why: Text) -> None:
        super().__init__("{why}", reason="not-a-notebook", why=why)


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell. `id` is "" where it has none that is its own; `raw` is what the file holds."""

    id: str
    kind: str
    source: str
    raw: Mapping[str, Any]

    @property
    def content(self) -> tuple[str, str]:
        """What tells cells without ids apart."""
        return (self.kind, self.source)

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The cell's metadata; none is as good as empty ones."""
        return self.raw.get("metadata") or {}

    @property
    def attachments(self) -> Mapping[str, Any]:
        """The pictures of a text."""
        return (self.raw.get("attachments") or {}) if self.kind != "code" else {}

    @property
    def mark(self) -> Mapping[str, Any]:
        """What the merge wrote about this cell; empty unless it is a new version of another."""
        return mark_of(self.metadata)

    @property
    def version_of(self) -> str:
        """The id of the cell that this is a new version of; "" where it is none."""
        found = self.mark.get(MARK, "")
        return str(found)


def mark_of(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the merge wrote into a cell's metadata; empty unless it is a new version of another."""
    if _OURS not in metadata:
        return {}
    ours = metadata[_OURS]
    return ours if isinstance(ours, dict) and isinstance(ours.get(MARK), str) else {}


def same(one: Cell, other: Cell) -> bool:
    """Whether nobody would call one a change of the other: what a run writes does not count."""
    return (one.source == other.source and one.kind == other.kind
            and one.attachments == other.attachments)


def cells_of(notebook: object) -> list[Cell]:
    """The cells. Of those with one id the first keeps it.

    Raises:
        Unreadable: for what is no notebook.
    """
    if not isinstance(notebook, Mapping) or not isinstance(notebook.get("cells"), list):
        raise Unreadable(Text("This is not a notebook: it has no list of cells."))
    if notebook.get("nbformat") != FORMAT:
        raise Unreadable(Text(
            "This is a notebook of format {found}; open it once in JupyterLab and save it, then "
            "it is of format 4.", found=_short(notebook.get("nbformat")),
        ))
    if not isinstance(notebook.get("metadata") or {}, dict):
        raise Unreadable(Text("This is not a notebook: its metadata are broken."))
    seen: set[str] = set()
    return [_cell(i + 1, x, seen) for i, x in enumerate(notebook["cells"])]


def _cell(number: int, raw: object, seen: set[str]) -> Cell:
    if not _sound(raw):
        raise Unreadable(Text("Cell {number} of this notebook is broken.", number=number))
    assert isinstance(raw, dict)
    id = raw.get("id")
    id = id if is_id(id) and id not in seen else ""
    seen.add(id)
    return Cell(id, raw["cell_type"], text_of(raw.get("source")), raw)


def is_id(found: object) -> TypeGuard[str]:
    """Whether the format allows it as a cell's id."""
    return isinstance(found, str) and _ID.fullmatch(found) is not None


def _sound(raw: object) -> bool:
    # dict, which JSON gives, and not Mapping: that costs half of a merge
    if not isinstance(raw, dict):
        return False
    kind, source = raw.get("cell_type"), raw.get("source", "")
    return (
        isinstance(kind, str) and kind in _KINDS
        and (isinstance(source, str)
             or (isinstance(source, list) and all(isinstance(x, str) for x in source)))
        and isinstance(raw.get("metadata") or {}, dict)
        and isinstance(raw.get("attachments") or {}, dict)
        and isinstance(raw.get("outputs") or [], list)
    )


def whole(found: object) -> TypeGuard[int]:
    """Whether it is a count; JSON has 1.5 and true, too."""
    return isinstance(found, int) and not isinstance(found, bool) and found >= 0


def minor_of(*notebooks: Mapping[str, Any]) -> int:
    """The newest minor format among them, at least the one from which on cells have ids."""
    found = [x.get("nbformat_minor") for x in notebooks]
    return max([MINOR, *(x for x in found if whole(x) and x <= _MINOR_MOST)])


def _short(found: object) -> str:
    return str(found)[:20] if isinstance(found, int | str) else "?"


# ---- cells as they are written -------------------------------------------------------------------


def written(cell: Cell, id: str, metadata: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The cell as the format has it, under this id; keys that no such cell may have are left out.

    Outputs and attachments are shared with `raw`, not copied.
    """
    raw = cell.raw
    found: dict[str, Any] = {
        "cell_type": cell.kind, "id": id,
        "metadata": dict(cell.metadata if metadata is None else metadata),
        "source": raw.get("source", ""),
    }
    if cell.kind == "code":
        count = raw.get("execution_count")
        found["execution_count"] = count if whole(count) else None
        found["outputs"] = raw.get("outputs") or []
    elif cell.attachments:
        found["attachments"] = cell.attachments
    return found


def sourced(cell: Cell, source: str) -> Cell:
    """The cell with another source, in the form (text or lines) that it had."""
    lines = isinstance(cell.raw.get("source"), list)
    raw = {**cell.raw, "source": source.splitlines(keepends=True) if lines else source}
    return replace(cell, source=source, raw=raw)


def marked(cell: Cell, id: str, *, release: int, deleted: bool) -> dict[str, Any]:
    """The metadata of an instructor's cell as a new version of the cell `id`.

    Args:
        release: by which it came; 0 is not said.
        deleted: the student had deleted that cell.
    """
    plain = unmarked(cell)
    held = {k: plain.pop(k) for k in _HELD if k in plain}
    mark: dict[str, Any] = {MARK: id}
    if release:
        mark["release"] = release
    if deleted:
        mark["deleted"] = True
    if held:
        mark["held"] = held
    return {**plain, _OURS: {**_ours(plain), **mark}}


def unmarked(cell: Cell) -> dict[str, Any]:
    """Its metadata as those of an ordinary cell."""
    found = dict(cell.metadata)
    if not cell.mark:
        return found
    held = cell.mark.get("held")
    rest = {k: v for k, v in _ours(found).items() if k not in {MARK, "release", "deleted", "held"}}
    found.pop(_OURS)
    return {**found, **({_OURS: rest} if rest else {}),
            **(held if isinstance(held, dict) else {})}


def _ours(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    found = metadata.get(_OURS)
    return found if isinstance(found, dict) else {}


# ---- ids -----------------------------------------------------------------------------------------


class Ids:
    """Ids that are given once. The same cells get the same ids, wherever this runs."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = {"", *taken}
        self._counts: dict[str, int] = {}

    def claim(self, id: str) -> bool:
        """Takes the id, unless it is taken."""
        if id in self._taken:
            return False
        self._taken.add(id)
        return True

    def fresh(self, stem: str) -> str:
        """The stem, or the stem with the first number that is free."""
        stem = stem[:ID_MOST]
        while not self.claim(found := self._next(stem)):
            pass
        return found

    def _next(self, stem: str) -> str:
        count = self._counts[stem] = self._counts.get(stem, 0) + 1
        tail = f"-{count}" if count > 1 else ""
        return stem[:ID_MOST - len(tail)] + tail


def stem_of(cell: Cell) -> str:
    """What the id of a cell without one is made of: the one it wrongly has, or its content."""
    if is_id(cell.raw.get("id")):
        return str(cell.raw["id"])
    text = f"{cell.kind}\0{cell.source}".encode("utf-8", "surrogatepass")
    return sha256(text).hexdigest()[:8]


def version_stem(id: str) -> str:
    """The id of a new version, unless it is taken."""
    return f"{id[:ID_MOST - 4]}-new"


def plain(cell: Cell) -> Cell:
    """The cell without the mark of a new version: an instructor may publish a student's file."""
    if not cell.version_of:
        return cell
    return replace(cell, raw={**cell.raw, "metadata": unmarked(cell)})
