"""What students have open in Lab, as Lab says it itself: nothing writes behind it.

Kept in memory only: Lab says it again every half minute. What it has not said for longer than a
page in the background is let run is not believed any more: the window may be gone.
"""

import threading
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta

from hub.errors import Refusal

_FOR = timedelta(seconds=150)  # browsers let a page in the background run once a minute
_NAMES = 3


class Opened:
    """Any number of threads."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._guard = threading.Lock()
        self._told: dict[str, tuple[datetime, dict[str, frozenset[str]]]] = {}

    def tell(self, user: str, files: Mapping[str, Collection[str]]) -> None:
        """All that somebody has open now: course → paths in its folder."""
        with self._guard:
            now = self._clock()
            # of those who closed their browser nothing more is heard
            self._told = {k: x for k, x in self._told.items() if now - x[0] <= _FOR}
            self._told[user] = (now, {k: frozenset(x) for k, x in files.items() if x})

    def of(self, user: str, course: str) -> frozenset[str]:
        """Paths of a course that somebody has open."""
        with self._guard:
            at, files = self._told.get(user, (None, {}))
        fresh = at is not None and self._clock() - at <= _FOR
        return files.get(course, frozenset()) if fresh else frozenset()

    def check(self, user: str, course: str, paths: Collection[str]) -> None:
        """None of these is open.

        Raises:
            Refusal: one is.
        """
        found = sorted(self.of(user, course).intersection(paths))
        if found:
            raise Refusal(
                "{names}: open in Lab, which would write over it. Do it there, or save and close "
                "it first.", reason="course-open", status=409, names=", ".join(found[:_NAMES]),
            )
