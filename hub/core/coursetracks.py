"""Each cell through three notebooks: the release given last, the new one, and the student's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hub.core.coursecells import Cell, Ids, cells_of, plain, same, stem_of
from hub.core.coursepairs import Known, paired


@dataclass(slots=True)
class Track:
    """One cell through the three, and its new version that stands beside it already.

    `place` is where it stands in the new release (-1: not), `at` and `version_at` in the student's
    notebook.
    """

    id: str
    base: Cell | None
    new: Cell | None
    place: int
    mine: Cell | None = None
    at: int = -1
    version: Cell | None = None
    version_at: int = -1

    @property
    def edited(self) -> bool:
        """Whether the student changed the new version itself."""
        return self.version is not None and not any(
            x is not None and same(self.version, x) for x in (self.new, self.base)
        )

    @property
    def stands(self) -> bool:
        """Whether the new version that is there is the newest."""
        return self.version is not None and self.new is not None and same(self.version, self.new)


class Tracks:
    """All of them, the last release's in its order and then the new one's; the student's own cells.

    `own`: index of a student's cell that is no release's → the id it has in the result.

    Raises:
        Unreadable: one of them is no notebook.
    """

    def __init__(
        self, base: Mapping[str, Any] | None, new: Mapping[str, Any], mine: Mapping[str, Any]
    ) -> None:
        self._given = base is not None
        self._base = [plain(x) for x in cells_of(base)] if self._given else []
        self._new = [plain(x) for x in cells_of(new)]
        self.mine = cells_of(mine)
        self.ids = Ids(x.id for x in (*self._base, *self._new))
        self.tracks = self._followed()
        self._cells: set[int] = set()  # indexes of the student's cells that are a release's
        self._versions = self._marked()
        self._find_mine()
        self._find_versions()
        self.own = self._own_ids()

    def _followed(self) -> list[Track]:
        known = [Known(_ids(x), (x.content,), x) for x in self._base]
        pairs = {k: i for i, k in paired(known, self._new).items()}
        there = set(pairs.values())
        return [
            *(self._track(old, pairs.get(k, -1)) for k, old in enumerate(self._base)),
            *(self._track(None, i) for i in range(len(self._new)) if i not in there),
        ]

    def _track(self, base: Cell | None, place: int) -> Track:
        new = self._new[place] if place >= 0 else None
        newest = new or base
        assert newest is not None
        id = newest.id or (base.id if base else "") or self.ids.fresh(stem_of(newest))
        return Track(id, base, new, place)

    def _find_mine(self) -> None:
        """What is no new version of a cell; a second one of the same is the student's copy."""
        ours = [i for i in range(len(self.mine)) if i not in self._versions]
        known = [self._known(x) for x in self.tracks]
        pairs = paired(
            known, [plain(self.mine[i]) for i in ours],
            by_place=self._given, anew=not self._versions,
        )
        for i, k in pairs.items():
            self._is(self.tracks[k], ours[i], plain(self.mine[ours[i]]))

    def _known(self, track: Track) -> Known:
        """Merged once already, the student's cell may be as it is in the new release."""
        cells = [x for x in (track.base, track.new) if x is not None]
        like = track.base if self._given else track.new
        return Known(
            tuple(dict.fromkeys(y for x in cells for y in _ids(x))),
            tuple(dict.fromkeys(x.content for x in cells)), like, gone=track.new is None,
        )

    def _is(self, track: Track, at: int, cell: Cell) -> None:
        track.at, track.mine = at, cell
        self._cells.add(at)

    def _marked(self) -> dict[int, Track]:
        """The new versions by their index."""
        by_id = {x.new.id: x for x in self.tracks if x.new}
        by_id |= {x.base.id: x for x in self.tracks if x.base}
        found = {}
        for i, cell in enumerate(self.mine):
            track = by_id.pop(cell.version_of, None) if cell.version_of else None
            if track is not None:
                found[i] = track
        return found

    def _find_versions(self) -> None:
        """A new version whose cell the student deleted, or that they work on, is their cell now."""
        for i, track in self._versions.items():
            cell = self.mine[i]
            track.version, track.version_at = cell, i
            shown = bool(cell.mark.get("deleted"))
            if track.mine is None and (not shown or track.edited):
                track.version, track.version_at = None, -1
                self._is(track, i, plain(cell))

    def _own_ids(self) -> dict[int, str]:
        """What has an id that is free keeps it."""
        own = [i for i in range(len(self.mine)) if i not in self._cells]
        ids = {i: self.mine[i].id for i in own if self.ids.claim(self.mine[i].id)}
        return ids | {i: self.ids.fresh(stem_of(self.mine[i])) for i in own if i not in ids}


def _ids(cell: Cell) -> tuple[str, ...]:
    return (cell.id,) if cell.id else ()
