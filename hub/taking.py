"""Submissions that have a key: however often one is sent, its runs are made once."""

import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from threading import Lock

from hub.core.once import Once, Taken
from hub.core.runs import Run
from hub.edge.store import Store, Unit
from hub.errors import Refusal, Unavailable

_EVERY = sys.maxsize
_LOCKS = 64  # two that are not the same may share one: then the second waits for the first


class Taking:
    """What was made of which key; any number of threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._locks = [Lock() for _ in range(_LOCKS)]

    def once(self, once: Once | None, make: Callable[[], Sequence[Run]]) -> Sequence[Run]:
        """What was made of this submission before, as it is now; else what `make` makes of it.

        `make` notes in its own write what it has made (`note`). One that comes while the first is
        still being made waits for it: it may yet be refused, and then nothing was made.

        Raises:
            Refusal: the key came with something else before (422); what `make` refuses.
        """
        if once is None:
            return make()
        with self._locks[hash((once.by, once.key)) % _LOCKS]:
            return self._before(once) or make()

    def _before(self, once: Once) -> Sequence[Run]:
        found = self._store.taken(once.by, once.key)
        if found is None:
            return ()
        if found.once.digest != once.digest:
            raise Refusal(
                "This Idempotency-Key came with another request before. Give each request a key "
                "of its own, and only the same request once more the same key.",
                reason="idempotency-key", status=422,
            )
        if found.sweep:
            return self._store.runs(user=None, limit=_EVERY, sweep=found.sweep)[::-1]
        return list(self._store.runs_by_id([found.run]).values())


def note(unit: Unit, once: Once | None, made: Sequence[Run], at: datetime) -> None:
    """Write of which submission these runs were made, together with them.

    Raises:
        Unavailable: another service has just made runs of it.
    """
    if once is None:
        return
    if unit.look.taken(once.by, once.key):
        raise Unavailable("The same was sent a moment ago; try again.", reason="busy")
    unit.taken.append(Taken(once, at, made[0].id, made[0].sweep))
