"""Where somebody stands, why they wait, and when their slice will come: a range.

The line is played forward in `SCENARIOS` ways (`future`). Of the answers the middle eight tenths
are the range, widened by what former ranges were wrong (`past`), in whole steps of five minutes.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from hub.core.future import DAY, HORIZON, play
from hub.core.hours import local_of, zone_of
from hub.core.nouns import Kind, Lease, Stage, State
from hub.core.order import order, overdue
from hub.core.past import ALIKE, LEEWAY, Past, soon
from hub.core.room import Rooms
from hub.core.rules import Rules
from hub.core.scene import Scene, Waiter, scene_of
from hub.core.share import Standing, standing, week
from hub.core.terms import too_long

__all__ = ["COVERS", "Past", "Place", "Wait", "place", "places"]

SCENARIOS = 20  # of their sorted answers a tenth lies before the range, a tenth behind
COVERS = 0.8  # how often what happens should lie in the range
_DEEPEST = 500  # whoever stands further back is told nothing but the position
_STEP = 300  # seconds; a range that moves each minute is no news


Range = tuple[datetime, datetime]


class Wait(StrEnum):
    """Why a request waits."""

    LINE = "line"  # all slices of its size are held; others may stand before it
    RESERVED = "reserved"  # what is free is kept for somebody's hours
    SHORT = "short"  # what is free is so only until a time before which this run would not end
    QUOTA = "quota"  # the week's quota is used up
    GONE = "gone"  # no slice of its size is in use any more: the cards were cut anew


@dataclass(frozen=True)
class Place:
    """Where somebody stands in the line.

    `position` counts from 1 among those who wait for the same profile, in the order in which they
    would be served now. `total`: slices of that size; `held`: how many somebody has.
    `first_promised`: the earliest end of a promise among the holders, if that lies ahead. `opens`:
    when reserved hours or the quota's week end. `earliest`, `latest`: when it gets its slice, in
    eight cases of ten.
    """

    id: str
    position: int
    profile: str
    total: int
    held: int
    wait: Wait
    first_promised: datetime | None = None
    opens: datetime | None = None
    earliest: datetime | None = None
    latest: datetime | None = None


_NOTHING = Past()
_PLAYABLE = frozenset({Wait.LINE, Wait.RESERVED, Wait.SHORT})


def place(state: State, id: str, now: datetime, past: Past = _NOTHING) -> Place | None:
    """The place in the line of a waiting request; None where it does not wait."""
    lease = state.leases.get(id)
    if lease is None or lease.stage is not Stage.WAITING:
        return None
    return places(state, lease.request.profile, now, past, only=id)[id]


def places(
    state: State, profile: str, now: datetime, past: Past = _NOTHING, *, only: str = ""
) -> dict[str, Place]:
    """Everybody's place in the line for one size, first come first.

    `only`: the others are told no range (it costs the more the further back somebody stands).
    """
    rules = state.house.rules
    rooms, used = Rooms(state, now), standing(state, now)
    here = [s for k, s in state.slices.items() if k.profile == profile and s.present]
    rate = here[0].rate if here else None
    line = list(_in_order(state, profile, rooms, now, rate or 1.0))
    holders = [x for x in state.held().values() if x.slice and x.slice.profile == profile]
    promised = [x.promised for x in holders if x.promised is not None and x.promised > now]
    why = {x.id: _why(x, rooms, used, rules, rate, now) for x in line}
    # one that is only too long for today is played as if it were not: no better is known
    played = [x for x in line if why[x.id] in _PLAYABLE][:_DEEPEST]
    ranges: Mapping[str, Range] = {}
    if any(only in ("", x.id) for x in played):
        scene = scene_of(state, profile, played, rooms, used, now, past)
        ranges = _ranges(scene, [x for x in scene.line if only in ("", x.id)], past, now, rules)
    _, next_week = week(now, rules)
    return {
        x.id: Place(
            x.id, i, profile, len(here), len(holders), why[x.id],
            min(promised, default=None), _opens(why[x.id], rooms, profile, next_week),
            *ranges.get(x.id, (None, None)),
        )
        for i, x in enumerate(line, 1)
    }


def _in_order(
    state: State, profile: str, rooms: Rooms, now: datetime, rate: float
) -> Iterator[Lease]:
    """The line in the order in which it would be served now."""
    rules, used = state.house.rules, standing(state, now)
    waiting = [x for x in state.waiting() if x.request.profile == profile]
    for lease in order(waiting, rooms, used, rules, now):
        yield lease
        used.charge(lease.request.group, lease.request.user, rate * _hours(rules.entry))


def _hours(span: timedelta) -> float:
    return span / timedelta(hours=1)


def _why(
    lease: Lease, rooms: Rooms, used: Standing, rules: Rules, rate: float | None, now: datetime
) -> Wait:
    if rate is None:
        return Wait.GONE
    if not rooms.could(lease):
        return Wait.RESERVED
    hold = rules.min_hold if lease.request.kind is Kind.SERVER else rules.run_hold
    if used.left(lease.request.group, lease.request.user) < rate * _hours(hold):
        return Wait.QUOTA
    may = rooms.admit(lease)
    if may is not None and too_long(lease, may[0], now) and not overdue(lease, rules, now):
        return Wait.SHORT
    return Wait.LINE


def _opens(why: Wait, rooms: Rooms, profile: str, next_week: datetime) -> datetime | None:
    if why is Wait.RESERVED:
        return rooms.opens(profile)
    if why is Wait.SHORT:
        return rooms.closes(profile)
    return next_week if why is Wait.QUOTA else None


# ---- playing forward ------------------------------------------------------------------------


def _ranges(
    scene: Scene, told: Sequence[Waiter], past: Past, now: datetime, rules: Rules
) -> dict[str, Range]:
    """(earliest, latest) for each of `told`; nothing for who waits longer than can be said."""
    backs = _backs(past, now, rules)
    found: dict[str, list[float]] = {x.id: [] for x in told}
    # with many slices all scenarios come to much the same
    count = max(_FEWEST, min(SCENARIOS, _PLAYED // (len(scene.holders) + len(scene.line))))
    for n in range(count):
        answers = play(scene, (n + 0.5) / count, backs[n % len(backs)], found.keys())
        for id, here in found.items():
            here.append(answers.get(id, HORIZON))
    ranges = {x.id: _range(sorted(found[x.id]), x.kind, past, now) for x in told}
    return {k: x for k, x in ranges.items() if x is not None}


_FEWEST = 5
_PLAYED = 4000  # holds and waits in all scenarios together; a hundredth of a second each thousand


def _backs(past: Past, now: datetime, rules: Rules) -> list[float]:
    """How far back the scenarios look for those who come: whole days, of the same kind as today."""
    length = now.timestamp() - past.since if past.came else 0.0
    days = range(1, int(length // DAY) + 1)
    if not days:
        # the first day's people come once a day, and not over again as soon as they have come
        return [DAY if past.came else 0.0]
    today = local_of(now, zone_of(rules.zone)).weekday()
    same = [k for k in days if (today - k) % 7 // 5 == today // 5]
    return [k * DAY for k in (same if len(same) >= _ENOUGH else days)]


_ENOUGH = 3  # days of one kind
_HOUR = 3600.0


def _range(
    waits: Sequence[float], kind: Kind, past: Past, now: datetime
) -> Range | None:
    """The middle of sorted waits (seconds), as much wider as the past says, in whole steps."""
    outside = len(waits) // 10
    if waits[outside] >= HORIZON:
        return None
    low, high = (math.log(waits[x] + ALIKE) for x in (outside, -1 - outside))
    middle = math.log((waits[(len(waits) - 1) // 2] + waits[len(waits) // 2]) / 2 + ALIKE)
    below, above = past.leeway.get((kind, soon(math.exp(middle) - ALIKE)), LEEWAY)
    down, up = max(middle - low, _LEAST) * below, max(high - middle, _LEAST) * above
    earliest = max(0.0, math.exp(middle - down) - ALIKE)
    latest = math.exp(min(middle + up, _MOST)) - ALIKE
    at = now.timestamp()
    first = (at + earliest) // _STEP * _STEP
    last = -(-(at + latest) // _STEP) * _STEP
    return (
        max(now, datetime.fromtimestamp(first, UTC)),
        datetime.fromtimestamp(max(last, first + _STEP), UTC),
    )


_LEAST = 0.1  # of the logarithm: nobody knows better than by a tenth
_MOST = math.log(30 * DAY)
