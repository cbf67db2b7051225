"""The timetable of reservations: what can be promised, what stands against it, what would fit."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from itertools import accumulate

from hub.core.hours import (
    DAY,
    WEEK,
    exists,
    local_of,
    moment,
    next_window,
    week_of,
    windows,
    zone_of,
)
from hub.core.rules import Reservation, Rules, Span, Weekly, Window
from hub.core.when import SHOWN, WEEKDAYS, parse_when, refused
from hub.errors import BadInput, Text

__all__ = ["check", "next_window", "parse_when", "week_of", "windows"]

_HORIZON = 54 * WEEK  # a year, and every clock change in it
_AHEAD = 4 * WEEK  # how far a later beginning is looked for
_STEP = timedelta(minutes=15)
_NAMED = 3  # so many groups that stand in the way, those with most slices first
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def check(
    new: Reservation, others: Iterable[Reservation], totals: Mapping[str, int],
    busy: Sequence[datetime], now: datetime, rules: Rules,
) -> None:
    """Refuse a reservation that could not be kept, with what is in the way and what would fit.

    Hours of the week are looked at for 54 weeks, from their first date on where that lies ahead.
    `others` may hold the same id: it does not stand in its own way. `totals`: slices by profile.
    `busy`: for each slice of this profile that an outsider holds, until when it is promised; it is
    there for the reservation `rules.margin` later, when outsiders must have gone.

    The refusal has two more values: `fits`, a Weekly or Span that would be accepted now with
    the same count, or None; and `left`, the slices that are left at the worst moment.

    Raises:
        BadInput: reason "reservation" for a wrong profile or count, or hours that are over; reason
            "reservation-conflict", status 409, where there are too few slices at some moment.
    """
    _check_count(new, totals)
    table = _Table.of(new, others, totals[new.profile], [x + rules.margin for x in busy], now)
    mine = windows(new, table.begin, _horizon(new, now))
    if not mine:
        raise refused([Text("None of its hours is to come. Choose later dates.")])
    clash = _worst(table.reserved.over(mine, table.room))
    if clash is not None:
        raise _conflict(new, clash, table)
    clash = next(table.taken.over(mine, table.room), None)
    if clash is not None:
        raise _still_held(new, clash, table)


# ---- what is taken when -------------------------------------------------------------------------


@dataclass(frozen=True)
class _Clash:
    """A time within a window at which more is taken than may be."""

    begins: datetime
    ends: datetime
    taken: int
    window: Window


@dataclass(frozen=True)
class _Load:
    """How many slices are taken: `counts[i]` from `moments[i]` to `moments[i + 1]`."""

    moments: Sequence[datetime]
    counts: Sequence[int]

    @classmethod
    def of(cls, changes: Mapping[datetime, int]) -> "_Load":
        """From what is added (or, below 0, given back) at each moment."""
        moments = sorted(changes)
        return cls([_FIRST, *moments, _LAST], [0, *accumulate(changes[x] for x in moments)])

    def over(self, found: Iterable[Window], room: int) -> Iterator[_Clash]:
        """The times in these windows at which more than `room` are taken, in order."""
        for window in found:
            i = bisect_right(self.moments, window.begins) - 1
            while self.moments[i] < window.ends:
                if self.counts[i] > room:
                    yield _Clash(
                        max(self.moments[i], window.begins), min(self.moments[i + 1], window.ends),
                        self.counts[i], window,
                    )
                i += 1


@dataclass(frozen=True)
class _Table:
    """One profile's slices: what other reservations have of them, and what is taken in all.

    Known from `begin` to `end`. `room`: what others may take beside the new reservation. `busy`:
    until when each slice is held, sorted.
    """

    now: datetime
    begin: datetime
    end: datetime
    total: int
    room: int
    others: Sequence[Reservation]
    busy: Sequence[datetime]
    reserved: _Load
    taken: _Load

    @classmethod
    def of(
        cls, new: Reservation, others: Iterable[Reservation], total: int, busy: Iterable[datetime],
        now: datetime,
    ) -> "_Table":
        """What stands beside `new`, also where it would be moved to."""
        rivals = [x for x in others if x.profile == new.profile and x.id != new.id]
        begin, end = max(now, _begin(new)), _horizon(new, now) + _AHEAD + DAY
        changes: dict[datetime, int] = defaultdict(int)
        for rival in rivals:
            for window in windows(rival, begin, end):
                changes[window.begins] += rival.count
                changes[window.ends] -= rival.count
        reserved = _Load.of(changes)
        held = sorted(x for x in busy if x > now)
        for until in held:
            changes[now] += 1
            changes[until] -= 1
        room = total - new.count
        return cls(now, begin, end, total, room, rivals, held, reserved, _Load.of(changes))

    def fits(self, one: Reservation, near: datetime) -> bool:
        """Whether it fits; the days around `near` first, where the last one did not."""
        horizon = _horizon(one, self.now)
        around = windows(one, max(self.begin, near - WEEK), near + WEEK)
        if horizon > self.end or self._clashes(around):
            return False
        found = windows(one, self.begin, horizon)
        return bool(found) and not self._clashes(found)

    def _clashes(self, found: Iterable[Window]) -> bool:
        return next(self.taken.over(found, self.room), None) is not None


def _begin(one: Reservation) -> datetime:
    when = one.when
    local = when.begins if isinstance(when, Span) else datetime.combine(when.first, time.min)
    return moment(local, zone_of(one.zone))


def _horizon(one: Reservation, now: datetime) -> datetime:
    """Until when its hours are looked at."""
    if isinstance(one.when, Span):
        return moment(one.when.ends, zone_of(one.zone), late=True)
    return max(now, _begin(one)) + _HORIZON


def _worst(clashes: Iterable[_Clash]) -> _Clash | None:
    """The first one at which most is taken."""
    return max(clashes, key=lambda x: x.taken, default=None)


# ---- refusals -----------------------------------------------------------------------------------


def _check_count(new: Reservation, totals: Mapping[str, int]) -> None:
    total, problems = totals.get(new.profile, 0), []
    if not total:
        problems.append(Text(
            "No GPU here is cut into {profile}. Sizes here: {here}.", profile=new.profile,
            here=", ".join(sorted(x for x, n in totals.items() if n)) or "-",
        ))
    if new.count < 1:
        problems.append(Text(
            "{count} slices cannot be reserved: the fewest are 1.", count=new.count
        ))
    elif 0 < total < new.count:
        problems.append(Text(
            "{count} slices of {profile} cannot be reserved: there are {total}.", count=new.count,
            profile=new.profile, total=total,
        ))
    if problems:
        raise refused(problems)


def _conflict(new: Reservation, clash: _Clash, table: _Table) -> BadInput:
    """Other reservations are in the way."""
    there = [
        x for x in table.others if windows(x, clash.begins, clash.begins + timedelta.resolution)
    ]
    groups = list(dict.fromkeys(x.group for x in sorted(there, key=lambda x: (-x.count, x.id))))
    more = ["…"] if len(groups) > _NAMED else []
    fits, hint = _next_fit(new, clash.begins, table)
    left = max(0, table.total - clash.taken)
    return BadInput(
        "At {at} ({zone}) only {left} of {total} slices of {profile} are left; the rest is "
        "reserved for {groups}. {hint}",
        reason="reservation-conflict", status=409, at=_shown(clash.begins, new), zone=new.zone,
        left=left, total=table.total, profile=new.profile, groups=", ".join(groups[:_NAMED] + more),
        hint=hint, fits=fits,
    )


def _still_held(new: Reservation, clash: _Clash, table: _Table) -> BadInput:
    """Slices are promised to people who hold them now."""
    most = _worst(table.reserved.over([clash.window], -1))
    spare = table.room - (most.taken if most else 0)
    # with `spare` of them still held, the rest is enough
    free = table.busy[-spare - 1]
    fits, hint = _later_date(new, clash, table)
    held = sum(x > clash.begins for x in table.busy)
    return BadInput(
        "At {at} ({zone}) {held} of {total} slices of {profile} are not free yet: they are "
        "promised to others. Enough are free from {free} on at the earliest. {hint}",
        reason="reservation-conflict", status=409, at=_shown(clash.begins, new), zone=new.zone,
        held=held, total=table.total, profile=new.profile, free=_shown(free, new), hint=hint,
        fits=fits, left=max(0, table.total - clash.taken),
    )


def _shown(at: datetime, one: Reservation) -> str:
    """Local time to the minute, not earlier."""
    minute = timedelta(minutes=1)
    return f"{local_of(_ceil(at, minute), zone_of(one.zone)):{SHOWN}}"


# ---- what would fit -----------------------------------------------------------------------------


def _next_fit(new: Reservation, near: datetime, table: _Table) -> tuple[Weekly | Span | None, Text]:
    """The time nearest to what was wanted, and how that is said."""
    when = new.when
    if isinstance(when, Span):
        return _later(new, when, table)
    found = next(
        (x for x in _other_hours(when) if table.fits(replace(new, when=x), near)), None
    )
    if found is None:
        return None, Text("No other hours fit: ask for fewer slices, or for less time.")
    start, end = f"{found.start:%H:%M}", f"{found.end:%H:%M}"
    if found.days == when.days:
        return found, Text(
            "On the same days it would fit from {start} to {end}.", start=start, end=end
        )
    days = Text.joined([WEEKDAYS[x] for x in found.days], ", ")
    return found, Text(
        "On other days it would fit: {days}, from {start} to {end}.", days=days, start=start,
        end=end,
    )


def _later_date(
    new: Reservation, clash: _Clash, table: _Table
) -> tuple[Weekly | Span | None, Text]:
    """The same hours from a later date on; a span is moved."""
    when = new.when
    if isinstance(when, Span):
        return _later(new, when, table)
    zone = zone_of(new.zone)
    for window in windows(new, clash.window.ends, clash.window.ends + _AHEAD):
        found = replace(when, first=local_of(window.begins, zone).date())
        if table.fits(replace(new, when=found), window.begins):
            return found, Text("It would fit with {first} as the first date.", first=found.first)
    return _next_fit(new, clash.begins, table)


def _later(new: Reservation, when: Span, table: _Table) -> tuple[Span | None, Text]:
    """The earliest later beginning on a quarter of an hour."""
    zone, length = zone_of(new.zone), when.ends - when.begins
    asked = max(table.now, moment(when.begins, zone))
    at = _ceil(asked + timedelta.resolution, _STEP)
    while at <= asked + _AHEAD:
        local = local_of(at, zone)
        found = Window(at, moment(local + length, zone, late=True))
        clash = max(table.taken.over([found], table.room), key=lambda x: x.ends, default=None)
        # the second of two equal local times cannot be said; and no clock change may cut it short
        sayable = moment(local, zone) == at and exists(local + length, zone)
        whole = found.ends - at >= length or length >= DAY
        if clash is None and sayable and whole and found.ends <= table.end:
            span = Span(local, local + length)
            return span, Text(
                "It would fit from {begins} to {ends}.", begins=f"{span.begins:{SHOWN}}",
                ends=f"{span.ends:{SHOWN}}",
            )
        at = max(at + _STEP, _ceil(clash.ends, _STEP) if clash else at)
    return None, Text(
        "Nothing fits in the four weeks after it: ask for fewer slices, or for less time."
    )


def _other_hours(when: Weekly) -> Iterator[Weekly]:
    """The same length at other hours of the same days, then on other days; the nearest first."""
    begin, end = _since_midnight(when.start), _since_midnight(when.end) or DAY
    starts = {i * _STEP for i in range(DAY // _STEP)} | {begin}
    near = sorted(
        (x for x in starts if x + end - begin <= DAY), key=lambda x: (abs(x - begin), x)
    )
    moved = [
        replace(when, start=_time(x), end=_time(x + end - begin)) for x in near
    ]
    yield from moved[1:]
    shifted = [tuple(sorted((x + i) % 7 for x in when.days)) for i in range(1, 7)]
    for one in moved:
        for days in shifted:
            if set(days) != set(when.days):
                yield replace(one, days=days)


def _since_midnight(wall: time) -> timedelta:
    return datetime.combine(_EPOCH, wall, UTC) - _EPOCH


def _time(since_midnight: timedelta) -> time:
    return (_EPOCH + since_midnight).replace(tzinfo=None).timetz()


def _ceil(at: datetime, step: timedelta) -> datetime:
    return at + (_EPOCH - at) % step
