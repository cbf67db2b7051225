"""What the host has kept for long enough goes: runs' inputs, logs and results; occurrences."""

from datetime import UTC, datetime, timedelta

from hub.edge.store import Store
from hub.runfiles import RunFiles

_EVERY = timedelta(hours=1)
# a service that died between a schedule's files and its row; nobody takes a day for that
_UNFINISHED = timedelta(days=1)


class Pruning:
    """Once an hour, at a tick.

    Args:
        days: for which things are kept after their end.
    """

    def __init__(self, store: Store, files: RunFiles, days: int) -> None:
        self._store = store
        self._files = files
        self._days = timedelta(days=days)
        self._last = datetime.min.replace(tzinfo=UTC)

    def tick(self, now: datetime) -> None:
        """Delete what is too old, where an hour has passed since the last time."""
        if now - self._last < _EVERY:
            return
        self._last = now
        self._files.prune(now - self._days, self._store.inputs_in_use())
        known = {y for x in self._store.schedules() for y in (x.id, x.input_id)}
        self._files.schedules.prune(now - _UNFINISHED, known)
        self._store.prune(now - self._days)
