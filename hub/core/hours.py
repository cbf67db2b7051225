"""When reserved hours are, and the quotas' week: local time into UTC, over clock changes.

A local time that the clock skips becomes the first moment after it; of one that comes twice, a
beginning takes the first and an end the second, so that a class gets the longer.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

from hub.core.rules import Reservation, Span, Weekly, Window

DAY = timedelta(days=1)
WEEK = timedelta(weeks=1)
_SECOND = timedelta(seconds=1)


@cache
def zone_of(name: str) -> ZoneInfo:
    """The zone of that name.

    Raises:
        KeyError, ValueError, OSError: there is none; zoneinfo says it in all three ways.
    """
    return ZoneInfo(name)


def readable(reservation: Reservation) -> bool:
    """Whether this machine knows its time zone. One that was taken out of tzdata is known no more.

    Asked anew each time, so that tzdata that was mended counts at once.
    """
    try:
        zone_of(reservation.zone)
    except (KeyError, ValueError, OSError):
        return False
    return True


def moment(local: datetime, zone: ZoneInfo, *, late: bool = False) -> datetime:
    """The moment (UTC) of a local time without a zone; `late`: the second of two, for an end."""
    return _daily(local.timetz(), zone, late=late)(local.date())


def exists(local: datetime, zone: ZoneInfo) -> bool:
    """Whether a clock on the wall ever shows this local time."""
    return local_of(moment(local, zone), zone) == local.replace(fold=0)


def local_of(at: datetime, zone: ZoneInfo) -> datetime:
    """What the clock on the wall shows at a moment, without a zone."""
    return at.astimezone(zone).replace(tzinfo=None, fold=0)


def windows(reservation: Reservation, begin: datetime, end: datetime) -> tuple[Window, ...]:
    """The occurrences that overlap [begin, end), in order, whole and disjoint.

    The cost is in the days from `begin` to `end`, however old the reservation is. An occurrence
    that a clock change swallows whole is left out; so is all where nobody knows when it would be.
    """
    if end <= begin or not readable(reservation):
        return ()
    zone = zone_of(reservation.zone)
    if isinstance(reservation.when, Span):
        opens = moment(reservation.when.begins, zone)
        closes = moment(reservation.when.ends, zone, late=True)
        found = iter([Window(opens, closes)] if opens < closes else [])
    else:
        found = _weekly(reservation.when, zone, begin, end)
    return tuple(x for x in found if x.begins < end and begin < x.ends)


def next_window(reservation: Reservation, now: datetime) -> Window | None:
    """The occurrence that is on or comes next; None where the last is over, or none is known."""
    if not readable(reservation):
        return None
    zone, when = zone_of(reservation.zone), reservation.when
    if isinstance(when, Span):
        begin, end = now, max(now, moment(when.ends, zone, late=True))
    else:
        begin = max(now, moment(datetime.combine(when.first, time.min), zone))
        # longer than a week: a clock change may swallow one occurrence
        end = begin + 4 * WEEK
    return next(iter(windows(reservation, begin, end)), None)


def week_of(now: datetime, zone: str, day: int, at_time: time) -> tuple[datetime, datetime]:
    """The week that `now` lies in, from `day` (0 is Monday) at `at_time`: begin and end in UTC.

    `zone` is a name. With a clock change in it the week has 167 or 169 hours.
    """
    where = zone_of(zone)
    today = now.astimezone(where).date()
    first = today - timedelta(days=(today.weekday() - day) % 7 + 7)
    # a week more on each side: before `at_time` the week is the last one, and a clock that goes
    # back over midnight shows a date that has begun before
    turns = [
        moment(datetime.combine(first + i * WEEK, at_time), where) for i in range(4)
    ]
    i = max(i for i, x in enumerate(turns) if x <= now)
    return turns[i], turns[i + 1]


@lru_cache(4096)
def _daily(wall: time, zone: ZoneInfo, *, late: bool) -> Callable[[date], datetime]:
    """For a time of the day: date → the moment.

    What can be is made once: thousands of days are asked for at a time, and `replace` on each
    would take most of it.
    """
    first = wall.replace(tzinfo=zone, fold=0)
    second, plain = first.replace(fold=1), wall.replace(tzinfo=UTC, fold=0)
    combine = datetime.combine

    def at(day: date) -> datetime:
        # PEP 495: the offset before the change and the one after it; equal where there is none,
        # less and then more where the clock skips this time, the other way where it comes twice
        before, after = combine(day, first).utcoffset(), combine(day, second).utcoffset()
        assert before is not None
        assert after is not None
        shown = combine(day, plain)
        if before < after:
            return _change(shown - after, shown - before, before, zone)
        return shown - (after if late else before)

    return at


@lru_cache(16384)
def _calm(zone: ZoneInfo, day: int) -> timedelta | None:
    """The offset of a whole day (its ordinal), both midnights too; None where the clock changes.

    Kept, because 200 reservations over a year ask for the same few days 50,000 times.
    """
    midnights = [
        datetime.combine(date.fromordinal(day + i), time.min.replace(tzinfo=zone, fold=fold))
        for i in (0, 1) for fold in (0, 1)
    ]
    offsets = {x.utcoffset() for x in midnights}
    return offsets.pop() if len(offsets) == 1 else None


def _change(low: datetime, high: datetime, before: timedelta, zone: ZoneInfo) -> datetime:
    """The first moment between two whose offset is not `before`: zoneinfo does not tell it."""
    low, high = low.replace(microsecond=0), high.replace(microsecond=0)
    while high - low > _SECOND:
        middle = low + (high - low) // _SECOND // 2 * _SECOND
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high


def _weekly(when: Weekly, zone: ZoneInfo, begin: datetime, end: datetime) -> Iterator[Window]:
    """All occurrences on the local days around [begin, end)."""
    # two days before: yesterday's may last beyond midnight where the clock goes back, and may
    # itself begin later for the one before it
    first = max(when.first, begin.astimezone(zone).date() - 2 * DAY)
    last = min(when.last or date.max, end.astimezone(zone).date() + DAY)
    opening, start = _daily(when.start, zone, late=False), when.start.replace(tzinfo=UTC)
    closing, close = _daily(when.end, zone, late=True), when.end.replace(tzinfo=UTC)
    over_midnight = when.end == time.min
    free, combine = begin - WEEK, datetime.combine
    for n in range(first.toordinal(), last.toordinal() + 1):
        # ordinal 1 is a Monday
        if (n - 1) % 7 not in when.days:
            continue
        day = date.fromordinal(n)
        until = date.fromordinal(n + 1) if over_midnight else day
        offset = _calm(zone, n)
        if offset is None:
            # where midnight comes twice, the hour between belongs to the day that ends
            opens, closes = max(free, opening(day)), closing(until)
        else:
            opens, closes = combine(day, start) - offset, combine(until, close) - offset
        if opens < closes:
            yield Window(opens, closes)
            free = closes
