"""Who has what of a course: for its instructors. Nothing is changed here."""

import json
import threading
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath

from hub.core import course as notebooks
from hub.core import handingout
from hub.core.courses import BaseFact, Course, FileFact, Student, folder_of
from hub.core.roster import Role
from hub.edge.folders import Folder, Odd, Seen, beside, opened
from hub.publishing import Publishing
from hub.updating import BESIDE

_MOST = 4 << 20  # bytes of a notebook that is read for this
_KEPT = 50_000  # notebooks that were read: those of 200 people in 10 courses


@dataclass(frozen=True)
class Row:
    """Where a member stands. `release` None: nothing was handed out yet.

    `conflicts`: in how many places two versions stand side by side. `opened`: whether anything was
    opened in Lab, changed or run. `executed`: notebook → (code cells that were run, code cells).
    """

    user: str
    release: int | None = None
    at: datetime | None = None
    conflicts: int = 0
    opened: bool = False
    executed: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Look:
    """What one notebook is like."""

    sha256: str
    executed: tuple[int, int]
    conflicts: int


class Overlooking:
    """Looks into students' folders; remembers what it read of a file that has not changed."""

    def __init__(self, publishing: Publishing) -> None:
        self._publishing = publishing
        self._homes = publishing.broker.edges.homes
        self._known: dict[tuple[int, ...], _Look] = {}  # by what says that a file is the same
        self._same: dict[str, _Look] = {}  # by content
        self._lock = threading.Lock()

    def overview(self, course: Course, now: datetime) -> list[Row]:
        """A row for each student of the course's group, by name."""
        store = self._publishing.store
        newest = store.newest(course.name)
        new = handingout.handed(newest.visible(now)) if newest else {}
        wanted = [k for k, x in new.items() if x.notebook]
        standing = {x.user: x for x in store.students(course.name)}
        times = store.last_times(course.name)
        members = {
            x.name for x in self._publishing.broker.members()
            if x.group == course.group and x.role is Role.STUDENT
        }
        return [
            self._row(standing[x], times.get(x), wanted, new) if x in standing else Row(x)
            for x in sorted(members)
        ]

    def _row(
        self, student: Student, at: datetime | None, wanted: list[str],
        new: Mapping[str, FileFact],
    ) -> Row:
        with ExitStack() as stack:
            folder = None
            with suppress(FileNotFoundError, NotADirectoryError, Odd):
                home, path = self._homes.path(student.user), str(folder_of(student.course))
                folder = stack.enter_context(opened(home, path))
            if folder is None:
                return Row(student.user, student.release, at)
            looks = {x: y for x in wanted if (y := self._look(folder, x)) is not None}
            laid = [x for x in student.bases.values() if x.beside]
            return Row(
                student.user, student.release, at,
                sum(_lies_beside(folder, x.path, new) for x in laid)
                + sum(x.conflicts for x in looks.values()),
                any(_used(folder, k, x, student.bases.get(k)) for k, x in looks.items()),
                {k: x.executed for k, x in looks.items()},
            )

    def _look(self, folder: Folder, path: str) -> _Look | None:
        """One notebook; None where there is none that can be read."""
        seen = folder.look(path)
        if seen.kind != "file" or seen.size > _MOST:
            return None
        found = self._known.get(seen.same)
        if found is None:
            seen = folder.read(path, _MOST)
            if seen.kind != "file":
                return None
            # most are what was handed out, and so the same for all
            found = self._same.get(seen.sha256) or _look_at(seen)
            with self._lock:
                for known in (self._known, self._same):
                    if len(known) >= _KEPT:
                        known.clear()
                self._known[seen.same] = self._same[seen.sha256] = found
        return found


def _look_at(seen: Seen) -> _Look:
    try:
        made = json.loads(seen.content)
    except (ValueError, RecursionError):
        return _Look(seen.sha256, (0, 0), 0)
    return _Look(seen.sha256, notebooks.executed(made), len(notebooks.beside_of(made)))


def _lies_beside(folder: Folder, path: str, new: Mapping[str, FileFact]) -> bool:
    """Whether a new version still lies beside a file: to take it away is the student's word."""
    names = (beside(path, x) for x in BESIDE)
    return any(folder.look(x).kind == "file" for x in names if x not in new)


def _used(folder: Folder, path: str, look: _Look, base: BaseFact | None) -> bool:
    """Whether it was opened: Lab lays a copy aside as soon as it opens a notebook."""
    if look.executed[0] or (base is not None and look.sha256 != base.sha256):
        return True
    file = PurePosixPath(path)
    copy = file.parent / ".ipynb_checkpoints" / f"{file.stem}-checkpoint{file.suffix}"
    return folder.look(str(copy)).kind == "file"
