"""What is known at this moment of one profile's line, in the numbers that `future` plays with."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import NamedTuple

from hub.core.hours import windows
from hub.core.nouns import Kind, Lease, Stage, State
from hub.core.order import idle_since
from hub.core.past import Holds, Past, Seen
from hub.core.room import Rooms
from hub.core.rules import House, Reservation, Rules, Window
from hub.core.share import Standing, charged_to, group_of

_AHEAD = timedelta(days=1)  # reserved hours that begin later are not looked at
_DRAINS = 30.0  # seconds until a slice that comes clean is free: a few looks
_PAUSE = timedelta(minutes=5)  # who was at work a moment ago is at work


@dataclass(frozen=True)
class Spans:
    """The rules' times, in seconds."""

    min_hold: float
    max_hold: float
    run_hold: float
    notice: float
    idle: float
    entry: float
    patience: float
    run_patience: float


@dataclass(frozen=True)
class Holder:
    """Who holds a slice now. Moments are seconds from now, negative before.

    `gone`: its slice is free then for certain; None while it may be at work. `latest`: it has to
    leave by then. `rest`: since when it is idle; None while it works. `told`: to give back.
    """

    kind: Kind
    group: str = ""
    user: str = ""
    granted: float = 0.0
    promised: float = 0.0
    latest: float = math.inf
    rest: float | None = None
    told: bool = False
    gone: float | None = None


class Waiter(NamedTuple):
    """Who waits now, or comes. Moments are seconds from now.

    `ready`: when it may have a slice at the earliest, where reserved hours keep it out; one of the
    two, nobody knows which. `first`: from then on it goes before everybody's share. `work`, `tail`:
    how long it will hold, where that is known. `keeps`: nobody can ask it to give back.
    """

    id: str
    kind: Kind
    group: str = ""
    user: str = ""
    asked: float = 0.0
    ready: tuple[float, float] = (0.0, 0.0)
    first: float = math.inf
    work: float | None = None
    tail: float = 0.0
    keeps: bool = False


@dataclass(frozen=True)
class Scene:
    """What is known now of one profile's line.

    `use`: group → use for its weight, `own`: (group, user) → use, in slice-hours. `drift`: group →
    what it adds to its use for its weight in an hour by all that it holds now; `gain`: what one
    more slice of this profile would add. `booked`: (begins, ends) of each slice reserved from then
    on. `came`: who came before, in this order; `now` is in the same seconds.
    """

    profile: str
    spans: Spans
    holders: Sequence[Holder]
    free: int
    line: Sequence[Waiter]
    use: Mapping[str, float] = field(default_factory=dict)
    own: Mapping[tuple[str, str], float] = field(default_factory=dict)
    drift: Mapping[str, float] = field(default_factory=dict)
    gain: Mapping[str, float] = field(default_factory=dict)
    rate: float = 1.0
    booked: Sequence[tuple[float, float]] = ()
    holds: Mapping[Kind, Holds] = field(default_factory=dict)
    came: Sequence[Seen] = ()
    now: float = 0.0


Hours = Sequence[tuple[Reservation, Window]]


def scene_of(
    state: State, profile: str, line: Sequence[Lease], rooms: Rooms, used: Standing,
    now: datetime, past: Past,
) -> Scene:
    """The scene for those of `line`, who wait for `profile`."""
    house = state.house
    rate = next((s.rate for k, s in state.slices.items() if k.profile == profile), 1.0)
    usable = {k for k, s in state.slices.items() if k.profile == profile and s.present}
    drift: dict[str, float] = defaultdict(float)
    for lease in state.leases.values():
        if lease.live:
            group = charged_to(house, lease)
            drift[group] += lease.rate / group_of(house, group).weight
    hours = tuple(_hours(house, profile, now))
    return Scene(
        profile, _spans(house.rules),
        [
            _holder(house, x, now) for x in state.leases.values()
            if x.slice in usable and x.holds and x.stage is not Stage.QUARANTINED
            and not state.slices[x.slice].blocked
        ],
        sum(s.key.profile == profile for s in state.free()),
        [_waiter(x, hours, rooms, house.rules, now) for x in line],
        use={x: used.of_group(x) for x in used.groups}, own=used.users, drift=drift,
        gain={g: rate / group_of(house, g).weight for g in {*used.groups, *house.groups}},
        rate=rate, booked=list(_booked(hours, line, house.rules, now)),
        holds={k: past.holds[profile, k] for k in Kind if (profile, k) in past.holds},
        came=past.came.get(profile, ()), now=now.timestamp(),
    )


def _spans(rules: Rules) -> Spans:
    return Spans(**{x.name: getattr(rules, x.name) / timedelta(seconds=1) for x in fields(Spans)})


def _seconds(moment: datetime | None, now: datetime, otherwise: float) -> float:
    return otherwise if moment is None else (moment - now).total_seconds()


def _holder(house: House, lease: Lease, now: datetime) -> Holder:
    """A holder as `future` takes it."""
    group, user = charged_to(house, lease), lease.request.user
    kind, draining = lease.request.kind, lease.stage is Stage.DRAINING
    leave_by = lease.notice.leave_by if lease.notice else None
    ends = [x for x in (lease.until, leave_by) if x is not None]
    rest = idle_since(lease, now)
    idle = rest is not None and kind is Kind.SERVER and now - rest > _PAUSE
    return Holder(
        kind, group, user, _seconds(lease.granted_at, now, 0.0),
        _seconds(lease.promised, now, 0.0), _seconds(min(ends, default=None), now, math.inf),
        rest=_seconds(rest, now, 0.0) if idle else None, told=lease.notice is not None,
        gone=_DRAINS if draining else None,
    )


def _hours(house: House, profile: str, now: datetime) -> Iterable[tuple[Reservation, Window]]:
    """The reserved hours of this profile that are on, or begin within a day."""
    for reservation in house.reservations.values():
        if reservation.profile == profile:
            for window in windows(reservation, now, now + _AHEAD):
                yield reservation, window


def _booked(
    hours: Hours, line: Sequence[Lease], rules: Rules, now: datetime
) -> Iterable[tuple[float, float]]:
    """(begins, ends) of each slice that is reserved from then on, less those for who waits now."""
    for reservation, window in hours:
        if window.begins > now:
            begins = _seconds(max(now, window.begins - rules.margin), now, 0.0)
            here = sum(reservation.group in _groups(x) for x in line)
            left = max(0, reservation.count - here)
            yield from ((begins, _seconds(window.ends, now, 0.0)),) * left


def _groups(lease: Lease) -> set[str]:
    return {lease.request.group, *lease.request.member_of}


def _waiter(lease: Lease, hours: Hours, rooms: Rooms, rules: Rules, now: datetime) -> Waiter:
    request = lease.request
    groups = _groups(lease)
    own = [max(0.0, _seconds(w.begins, now, 0.0)) for r, w in hours if r.group in groups]
    ready = (0.0, 0.0)
    if not rooms.could(lease):
        on = [w for _, w in hours if w.begins <= now]
        grace = max((w.begins + rules.grace for w in on), default=now)
        opens = _seconds(rooms.opens(request.profile), now, 0.0)
        # after the grace time what nobody took goes to all; if all is taken, nothing does
        ready = (_seconds(max(grace, now), now, 0.0) if grace > now else opens, opens)
    return Waiter(
        lease.id, request.kind, request.group, request.user,
        _seconds(request.asked_at, now, 0.0), ready, min(own, default=math.inf),
    )
