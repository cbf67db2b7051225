"""What students have open in Lab, as Lab says it itself: nothing writes behind it.

Kept in memory only: each of Lab's windows says it again every half minute. What one has not said
for longer than a page in the background is let run is not believed any more: it may be gone.
"""

import threading
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta

from hub.errors import Refusal

_FOR = timedelta(seconds=150)  # browsers let a page in the background run once a minute
_WINDOWS, _FILES = 8, 1000  # of one person, the newest; of one window
_NAMES = 3
Told = tuple[datetime, dict[str, frozenset[str]]]


class Opened:
    """Any number of threads."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._guard = threading.Lock()
        self._told: dict[str, dict[str, Told]] = {}

    def tell(self, user: str, window: str, files: Mapping[str, Collection[str]]) -> None:
        """All that somebody has open now in one window: course → paths in its folder."""
        some, left = {}, _FILES
        for course, paths in files.items():
            some[course] = frozenset(list(paths)[:left])
            left -= len(some[course])
        with self._guard:
            now = self._clock()
            # of those who closed their browser nothing more is heard
            fresh = {k: self._fresh(x, now) for k, x in self._told.items()}
            self._told = {k: x for k, x in fresh.items() if x}
            mine = self._told.pop(user, {})
            mine.pop(window, None)
            if left < _FILES:
                mine[window] = (now, {k: x for k, x in some.items() if x})
            if mine:
                self._told[user] = dict(list(mine.items())[-_WINDOWS:])

    def of(self, user: str, course: str) -> frozenset[str]:
        """Paths of a course that somebody has open."""
        with self._guard:
            fresh = self._fresh(self._told.get(user, {}), self._clock())
        return frozenset().union(*(files.get(course, ()) for _, files in fresh.values()))

    def check(self, user: str, course: str, paths: Collection[str]) -> None:
        """None of these is open.

        Raises:
            Refusal: one is.
        """
        found = sorted(self.of(user, course).intersection(paths))
        if found:
            raise Refusal(
                "{names}: open in Lab, which would write over it. Do it there, or save and close "
                "it first; a window that is gone is forgotten within three minutes.",
                reason="course-open", status=409, names=", ".join(found[:_NAMES]),
            )

    @staticmethod
    def _fresh(told: Mapping[str, Told], now: datetime) -> dict[str, Told]:
        return {k: x for k, x in told.items() if now - x[0] <= _FOR}
