"""What those who wait are told: their places, with the past that the ranges are made of."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import RLock

from hub.core import forecast
from hub.core.forecast import Past, Place
from hub.core.lease import Foretold, Stage, State
from hub.core.past import SPAN, Seen, seen
from hub.edge.store import Store

_FRESH = timedelta(minutes=5)
_KEPT = timedelta(seconds=30)
_ENOUGH = 5000  # leases from which the past is made: a term of a lab, a day of a large house
_DAY = timedelta(days=1)
_NOBODY = "-"  # an id that no request has


@dataclass(frozen=True)
class _Told:
    """What was told of one line, and what it was told from."""

    at: datetime
    of: object
    places: dict[str, Place]


class Outlook:
    """Places in the line. What was seen is read anew every five minutes."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock
        self._past = Past()
        self._seen: dict[str, Seen] = {}
        self._read_at = datetime.min.replace(tzinfo=UTC)
        self._told: dict[str, _Told] = {}
        self._lock = RLock()  # of many who ask at once, one computes

    def place(self, state: State, id: str) -> Place | None:
        """The place of one who waits; None where it does not wait."""
        lease = state.leases.get(id)
        if lease is None or lease.stage is not Stage.WAITING:
            return None
        return self.places(state, lease.request.profile)[id]

    def places(self, state: State, profile: str) -> dict[str, Place]:
        """Everybody's place in the line for one size, first come first.

        Many pages ask at once: where nothing has moved, the answer of a moment ago is given.
        """
        of = _moved(state, profile)
        with self._lock:
            now = self._clock()
            told = self._told.get(profile)
            if told is None or told.of != of or now - told.at > _KEPT:
                places = forecast.places(state, profile, now, self.past())
                self._told[profile] = told = _Told(now, of, places)
            return told.places

    def everybody(self, state: State) -> dict[str, Place]:
        """The places of all who wait, by lease."""
        sizes = {x.request.profile for x in state.waiting()}
        return {k: x for size in sizes for k, x in self.places(state, size).items()}

    def positions(self, state: State) -> dict[str, Place]:
        """The same without the ranges, which cost the most."""
        now = self._clock()
        return {
            k: x for size in {x.request.profile for x in state.waiting()}
            for k, x in forecast.places(state, size, now, only=_NOBODY).items()
        }

    def past(self) -> Past:
        """Who came before, and how long they held."""
        with self._lock:
            now = self._clock()
            if now - self._read_at > _FRESH:
                self._read(max(self._read_at, now - SPAN), now)
                self._read_at = now  # not before: what could not be read is tried again
            return self._past

    def _read(self, since: datetime, now: datetime) -> None:
        """Read on from the last time; at first as many days back as there is any use for."""
        end, count = now, 0
        while end > since and count < _ENOUGH:
            begin = max(since, end - _DAY)
            for lease in self._store.leases_between(begin, end):
                one = seen(lease, now)
                if one is not None:
                    self._seen[lease.id] = one
                    count += 1
            end = begin
        oldest = (now - SPAN).timestamp()
        self._seen = {k: x for k, x in self._seen.items() if x.granted >= oldest}
        self._past = Past.of(self._seen.values())

    def foretold(self, state: State, id: str) -> Foretold | None:
        """What somebody who begins to wait is told at first; None where no range can be told.

        It is kept, so that it can be held against what comes.
        """
        told = forecast.place(state, id, self._clock(), self.past())
        if told is None or told.earliest is None or told.latest is None:
            return None
        return Foretold(id, told.earliest, told.latest)


def _moved(state: State, profile: str) -> object:
    """What a line's places depend on, beside the time: who waits and holds, and what is kept."""
    return (
        [
            (x.id, x.stage, x.promised, x.until, x.notice) for x in state.leases.values()
            if x.request.profile == profile
        ],
        [(k, s.usable) for k, s in state.slices.items() if k.profile == profile],
        state.house.reservations, state.house.groups,
    )
