"""Who is behind: asked of everybody every few seconds, and at each start.

A release, and what one student has of it, may be thousands of files each. They are read only where
a release has come to the same number as the student has: once for all who have the same, and once
more when the next of its files becomes visible.
"""

from bisect import bisect_right
from collections.abc import Callable, Hashable
from datetime import datetime
from functools import lru_cache
from typing import Any

from hub.core import handingout
from hub.core.courses import Release
from hub.edge.courserows import CourseStore, Newest, Stood
from hub.placing import Journal

_KEPT = 20_000  # answers: a school of students of whom no two have the same


class Lagging:
    """Tells it; remembers what it was told of files. Any number of threads.

    Args:
        journal: what is written down of a user's updates of a course.
    """

    def __init__(self, store: CourseStore, journal: Callable[[str, str], Journal]) -> None:
        self._store = store
        self._journal = journal
        self._later: dict[Hashable, list[datetime]] = {}
        self._answers: dict[Hashable, bool] = {}
        # the one that the look is at: its files are asked of one after the other
        self._release = lru_cache(maxsize=1)(self._read)

    def is_behind(self, newest: Newest, stood: Stood | None, now: datetime) -> bool:
        """Whether a start has something to do: to hand out, or to clear away after a kill."""
        if stood is not None:
            journal = self._journal(stood.user, stood.course)
            if journal.has(stood.update + 1) or journal.to_undo():
                return True
        if not newest.number:
            return False
        if stood is None or stood.release != newest.number:
            return stood is None or max(stood.release, stood.held_at) < newest.number
        return newest.number > stood.held_at and not self._has_all(newest, stood, now)

    def _has_all(self, newest: Newest, stood: Stood, now: datetime) -> bool:
        key = (newest, bisect_right(self._moments(newest), now), stood.has)
        known = self._answers.get(key)
        if known is None:
            student, release = self._store.whole(stood), self._release(newest)
            if student is None or release is None:
                return True  # it was changed just now: the next look sees how
            new = handingout.handed(release.visible(now))
            known = handingout.is_current(student, release.number, new)
            _keep(self._answers, key, known)
        return known

    def _moments(self, newest: Newest) -> list[datetime]:
        """When files of the release become visible, in order."""
        found = self._later.get(newest)
        if found is None:
            release = self._release(newest)
            found = sorted({x.visible_from for x in release.files if x.visible_from}
                           ) if release else []
            _keep(self._later, newest, found)
        return found

    def _read(self, newest: Newest) -> Release | None:
        return self._store.release(newest.course, newest.number)


def _keep(known: dict[Hashable, Any], key: Hashable, found: object) -> None:
    if len(known) >= _KEPT:
        known.clear()
    known[key] = found
