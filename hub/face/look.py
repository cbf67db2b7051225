"""One look at what the board shows: the state at once, the ranges as soon as they are worked out.

Playing a long line forward takes longer than two hundred people should wait to see that a slice
is free, so it is done beside: until it is done, the ranges of the last time stand.
"""

import logging
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hub.batch import Batch
from hub.broker import Broker
from hub.core.forecast import Place
from hub.core.lease import State
from hub.core.runs import Run
from hub.face.board import Seen
from hub.face.views_line import Scene

log = logging.getLogger("madang.look")
FRESH = timedelta(seconds=30)  # what time alone changes is news no more often than this
_RUNS = 100  # newest runs of the caller that the board shows, beside all open ones
_ANEW = 5  # people whose runs are read again at each look
_AFTER = 0.3  # seconds; first everybody is told what has changed
_REST = 3  # times as long as the last forecast took, until the next one


class Look:
    """Reads for all streams. One thread calls it at a time; forecasts run in one of their own."""

    def __init__(self, broker: Broker, batch: Batch) -> None:
        self._broker = broker
        self._batch = batch
        self._last: Seen | None = None
        self._runs: dict[str | None, tuple[Run, ...]] = {}  # whose were read longest ago first
        self._open_runs: tuple[Run, ...] = ()
        self._ranges: Mapping[str, Place] = {}
        self._of: State | None = None  # what the last forecast was made of
        self._made_at = datetime.min.replace(tzinfo=UTC)
        self._news = False  # a forecast has come that nobody has seen
        self._thread: threading.Thread | None = None
        self._rest_until = 0.0

    def __call__(self, whose: Collection[str | None]) -> Seen:
        """What there is to see for these people; None is an operator.

        Two looks are equal where there is no news between them.
        """
        open_runs = tuple(self._batch.open_runs())
        newest = self._newest(frozenset(whose), open_runs)
        state, now = self._broker.state(), datetime.now(UTC)
        self._forecast(state, now)
        last = self._last
        old = last is None or last.scene.state != state or now - last.at >= FRESH
        if last is not None and not old and not self._news:
            scene, at = last.scene, last.at
        else:
            self._news = False
            scene, at = Scene(state, now, self._places(state)), now
        self._last = Seen(scene, open_runs, newest, self._broker.members(), at)
        return self._last

    def _newest(
        self, whose: frozenset[str | None], open_runs: tuple[Run, ...]
    ) -> dict[str | None, tuple[Run, ...]]:
        """The newest runs of each; read only for those whose runs have moved, or are unknown.

        What came and went between two looks is found a little later: some are read anew each time.
        """
        before, after = ({x.id: x for x in runs} for runs in (self._open_runs, open_runs))
        moved = {
            x.user for x in (*self._open_runs, *open_runs) if before.get(x.id) != after.get(x.id)
        }
        again: set[str | None] = {*moved, None} if moved else set()
        oldest = [x for x in self._runs if x in whose][:_ANEW]
        kept = {k: x for k, x in self._runs.items() if k in whose - again - {*oldest}}
        for user in whose - kept.keys():
            kept[user] = tuple(self._batch.list(user=user, limit=_RUNS))  # goes to the end
        self._runs, self._open_runs = kept, open_runs
        return dict(kept)

    def _places(self, state: State) -> dict[str, Place]:
        """Everybody's place as it is now, with the range that was worked out last."""
        known = self._ranges
        return {
            id: replace(x, earliest=known[id].earliest, latest=known[id].latest)
            if id in known else x
            for id, x in self._broker.outlook.positions(state).items()
        }

    def _forecast(self, state: State, now: datetime) -> None:
        """Begin a forecast, where there is reason for one and none is under way."""
        running = self._thread is not None and self._thread.is_alive()
        fresh = self._of == state and now - self._made_at < FRESH
        if running or fresh or time.monotonic() < self._rest_until:
            return
        if not state.waiting():
            self._ranges, self._of, self._made_at = {}, state, now
            return
        self._thread = threading.Thread(
            target=self._work, args=(state, now), name="madang-forecast", daemon=True
        )
        self._thread.start()

    def _work(self, state: State, now: datetime) -> None:
        time.sleep(_AFTER)
        begun = time.monotonic()
        try:
            self._ranges = self._broker.outlook.everybody(state)
            self._news = True
        except Exception:
            log.exception("nobody can be told when their slice will come")
        finally:
            self._of, self._made_at = state, now
            self._rest_until = time.monotonic() + _REST * (time.monotonic() - begun)
