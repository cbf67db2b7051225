"""The merge of an instructor's release into a student's notebook, cell by cell.

Three notebooks go in: the release that this student was given last (base), the new one, and the
student's. Source, cell type and a text's pictures decide; outputs and counts never conflict. What
the student changed stays as it is, and what the instructor changed too stands behind it as a new
version (coursecells.py), which the next release replaces. Everything that is no plain taking over
is told in `cells`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from hub.core.coursebeside import beside_of, executed, keep, take, waiting
from hub.core.coursecells import (
    FORMAT,
    RUN,
    Cell,
    Unreadable,
    marked,
    minor_of,
    same,
    sourced,
    unmarked,
    version_stem,
    written,
)
from hub.core.courselines import Room, is_python, parses, put_together
from hub.core.coursemeta import lost, united
from hub.core.courseorder import Group, Written, arranged, moved
from hub.core.courses import CellChange, CellFate
from hub.core.coursetracks import Track, Tracks
from hub.core.notebook import sayable
from hub.core.stamping import Normalised, normalise
from hub.errors import Text

__all__ = [
    "Merged", "Normalised", "Notebook", "Unreadable", "beside_of", "executed", "keep", "merge",
    "normalise", "take",
]

Notebook = Mapping[str, Any]


@dataclass(frozen=True)
class Merged:
    """A merged notebook. It shares parts with the notebooks it was made of: change neither.

    `cells`: what became of them, those of the result in its order, then those that are gone. The id
    "" is the notebook itself. `conflicts`: new versions that stand beside and wait for the student.
    """

    notebook: dict[str, Any]
    cells: tuple[CellFate, ...]
    conflicts: int


def merge(
    base: Notebook | None, new: Notebook, mine: Notebook, *, release: int = 0
) -> Merged:
    """The new release in the student's notebook. Merging the result once more changes nothing.

    Args:
        base: the release last given to this student; None where there was none.
        release: the new one's number, for the mark on new versions.

    Raises:
        Unreadable: one of them is no notebook of format 4, or has a broken cell.
    """
    return _Merge(base, new, mine, release).merged()


class _Merge:
    """What becomes of each cell; where each stands is courseorder's."""

    def __init__(
        self, base: Notebook | None, new: Notebook, mine: Notebook, release: int
    ) -> None:
        self.books = (base, new, mine)
        self.release = release
        found = Tracks(base, new, mine)
        self.tracks, self.mine, self.ids, self.own = found.tracks, found.mine, found.ids, found.own
        self.room = Room()
        self.python = is_python(new, mine)
        self.fates: dict[int, list[CellFate]] = {}  # by the id() of the cell that was written
        self.gone: list[CellFate] = []
        self.groups: dict[int, Group] = {}  # by the index of the student's cell
        self.added: dict[int, Written] = {}  # by the place in the release

    def merged(self) -> Merged:
        """Everything in its place, and told."""
        for track in self.tracks:
            if track.mine is not None:
                self._both(track, track.mine)
            else:
                self._without_mine(track)
        groups = [self.groups.get(i) or self._of_student(i) for i in range(len(self.mine))]
        cells = arranged(groups, self.added, theirs=self._order())
        told = [y for x in cells for y in self.fates.get(id(x), ())]
        notebook = self._notebook(cells)
        conflicts = len(waiting((x["id"], x["metadata"]) for x in cells))
        return Merged(notebook, (*told, *self.gone), conflicts)

    # ---- what becomes of a cell that the student has ----

    def _both(self, track: Track, mine: Cell) -> None:
        base, new = track.base, track.new
        if new is None:
            self._removed(track, mine)
            self._drop_version(track)
        elif same(mine, new):
            self._put(track, self._kept(track, _with_outputs(base, new, mine)))
            self._drop_version(track)
        elif base and same(mine, base):
            self._put(track, self._taken(track, new, mine))
            self._drop_version(track)
        elif base and same(base, new):
            cell = self._kept(track, mine)
            self._tell(cell, track.id, CellChange.KEPT, after=mine.source)
            self._put(track, cell)
            self._keep_version(track)
        else:
            self._both_changed(track, new, mine)

    def _both_changed(self, track: Track, new: Cell, mine: Cell) -> None:
        source = self._lines(track, new, mine)
        if source is not None:
            both = sourced(mine, source) if source != mine.source else mine
            cell = self._kept(track, both)
            if source != mine.source:
                cell["execution_count"] = None  # what it says is of other code
            self._tell(cell, track.id, CellChange.LINE_MERGED, Text(
                "You and the instructor changed other lines of this cell; it has both changes."
            ), mine.source, source)
            self._put(track, cell)
            return
        cell = self._kept(track, mine)
        if track.stands:
            self._put(track, cell)
            self._keep_version(track)
        elif track.version is not None and not track.edited:
            self._put(track, cell)
            version = self._version(track, new, self.own[track.version_at])
            self._tell(version, track.id, CellChange.BESIDE, Text(
                "The instructor changed this cell again; the newest version stands beside yours."
            ), mine.source, new.source)
            self.groups[track.version_at] = Group(-1, [version])
        else:
            version = self._version(track, new)
            self._tell(version, track.id, CellChange.BESIDE, Text(
                "You and the instructor both changed this cell."
            ), mine.source, new.source)
            self._put(track, cell, version)
            self._drop_version(track)

    def _lines(self, track: Track, new: Cell, mine: Cell) -> str | None:
        """Both changes in one source, where that is safe.

        Not while a new version waits: the student's cell was made without that one's changes, which
        a merge would take for the student's wish to undo them.
        """
        base = track.base
        if not base or track.version is not None or not self.python or not (
            base.kind == new.kind == mine.kind == "code"
        ):
            return None
        found = put_together(base.source, mine.source, new.source, self.room)
        return found if found is not None and parses(found) else None

    def _removed(self, track: Track, mine: Cell) -> None:
        if track.base and same(mine, track.base):
            self.groups[track.at] = Group(-1, ())
            self.gone.append(_fate(track.id, CellChange.REMOVED, Text(
                "The instructor removed this cell; you had not changed it."
            ), mine.source))
            return
        cell = written(mine, track.id)
        self._tell(cell, track.id, CellChange.REMOVED_KEPT, Text(
            "The instructor removed this cell; yours stays."
        ), after=mine.source)
        self._put(track, cell)

    def _taken(self, track: Track, new: Cell, mine: Cell) -> Written:
        theirs = {k: v for k, v in mine.metadata.items() if k not in RUN}
        assert track.base is not None
        meta = united(track.base.metadata, new.metadata, theirs)
        cell = written(new, track.id, meta)
        self._tell(cell, track.id, CellChange.TAKEN, "", mine.source, new.source)
        self._tell_lost(cell, track, mine)
        return cell

    def _kept(self, track: Track, mine: Cell) -> Written:
        """The student's cell, with what the instructor changed in its metadata."""
        if track.new is None:
            return written(mine, track.id)
        old = track.base.metadata if track.base else {}
        cell = written(mine, track.id, united(old, track.new.metadata, mine.metadata))
        self._tell_lost(cell, track, mine)
        return cell

    def _put(self, track: Track, *cells: Written) -> None:
        self.groups[track.at] = Group(track.place, cells)

    # ---- new versions ----

    def _version(
        self, track: Track, new: Cell, id: str = "", *, deleted: bool = False
    ) -> Written:
        id = id or self.ids.fresh(version_stem(track.id))
        return written(new, id, marked(new, track.id, release=self.release, deleted=deleted))

    def _keep_version(self, track: Track) -> None:
        if track.version is not None:
            meta = dict(track.version.metadata)
            self._put_version(track, written(track.version, self.own[track.version_at], meta))

    def _put_version(self, track: Track, cell: Written) -> None:
        self.groups[track.version_at] = Group(-1 if track.mine else track.place, [cell])

    def _drop_version(self, track: Track) -> None:
        """It is no longer needed; one that the student changed becomes a cell of their own."""
        if track.version is not None and not track.edited:
            self.groups[track.version_at] = Group(-1, ())

    # ---- cells that only one side has ----

    def _without_mine(self, track: Track) -> None:
        base, new = track.base, track.new
        if track.stands:
            self._keep_version(track)
        elif new is None:
            self._drop_version(track)
        elif track.version is not None:
            version = self._version(track, new, self.own[track.version_at], deleted=True)
            self._show(track, version, new)
            self._put_version(track, version)
        elif base is None:
            self.added[track.place] = cell = written(new, track.id)
            self._tell(cell, track.id, CellChange.ADDED, after=new.source)
        elif not same(base, new):
            self.added[track.place] = cell = self._version(track, new, deleted=True)
            self._show(track, cell, new)

    def _show(self, track: Track, cell: Written, new: Cell) -> None:
        before = track.base.source if track.base else ""
        self._tell(cell, track.id, CellChange.DELETED_SHOWN, Text(
            "You had deleted this cell; the instructor has changed it since."
        ), before, new.source)

    def _of_student(self, i: int) -> Group:
        cell = self.mine[i]
        found = written(cell, self.own[i], unmarked(cell))
        if cell.version_of:
            self._tell(found, self.own[i], CellChange.KEPT, Text(
                "You changed the instructor's version; it is a cell of your own now."
            ), after=cell.source)
        return Group(-1, [found])

    # ---- order, and the whole ----

    def _order(self) -> bool:
        """Whether the release's order holds; tells of what moved, or of what did not."""
        old = [x.place for x in self.tracks if x.base and x.place >= 0]
        theirs = moved(old)
        if not theirs:
            return False
        at = {x.place: x for x in self.tracks if x.place >= 0 and x.mine}
        here = [x.at for x in self.tracks if x.base and x.place >= 0 and x.mine]
        places = sorted(at, key=lambda x: at[x].at)
        if _rises(here):
            elsewhere = moved([at[x].at for x in sorted(at)])
            for track in at.values():
                if track.at in elsewhere:
                    self._tell_place(track, CellChange.MOVED)
            return True
        for place in sorted(theirs & set(at)) if not _rises(places) else ():
            self._tell_place(at[place], CellChange.KEPT, Text(
                "The instructor moved this cell; you had moved cells too, and your order stays."
            ))
        return False

    def _tell_place(self, track: Track, change: CellChange, why: Text | str = "") -> None:
        for cell in self.groups[track.at].cells[:1]:
            self._tell(cell, track.id, change, why)

    def _notebook(self, cells: Sequence[Written]) -> dict[str, Any]:
        base, new, mine = ((x or {}).get("metadata") or {} for x in self.books)
        meta = united(base, new, mine)
        keys = lost(base, new, mine) if self.books[0] is not None else []
        if keys:
            self.gone.append(_fate("", CellChange.KEPT, _yours(keys)))
        minor = minor_of(*(x for x in self.books[1:] if x is not None))
        return {"cells": list(cells), "metadata": meta, "nbformat": FORMAT,
                "nbformat_minor": minor}

    # ---- the report ----

    def _tell(
        self, cell: Written, id_: str, change: CellChange, why: Text | str = "",
        before: str = "", after: str = "",
    ) -> None:
        self.fates.setdefault(id(cell), []).append(_fate(id_, change, why, before, after))

    def _tell_lost(self, cell: Written, track: Track, mine: Cell) -> None:
        if track.base and track.new:
            keys = lost(track.base.metadata, track.new.metadata, mine.metadata)
            if keys:
                self._tell(cell, track.id, CellChange.KEPT, _yours(keys))


def _fate(
    id: str, change: CellChange, why: Text | str = "", before: str = "", after: str = ""
) -> CellFate:
    return CellFate(id, change.value, why, sayable(before), sayable(after))


def _yours(keys: Sequence[str]) -> Text:
    return Text(
        "You and the instructor both changed its metadata ({keys}); yours stay.",
        keys=sayable(", ".join(keys))[:200],
    )


def _rises(numbers: Sequence[int]) -> bool:
    return all(a < b for a, b in pairwise(numbers))


def _with_outputs(base: Cell | None, new: Cell, mine: Cell) -> Cell:
    """The student's cell; with the release's outputs where the student's are the last one's."""
    if base is None or mine.kind != "code":
        return mine
    old, newest, ours = (x.raw.get("outputs") or [] for x in (base, new, mine))
    if ours != old or newest == old:
        return mine
    count = new.raw.get("execution_count")
    return replace(mine, raw={**mine.raw, "outputs": newest, "execution_count": count})
