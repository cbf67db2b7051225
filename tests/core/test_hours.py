from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.hours import (
    exists,
    local_of,
    moment,
    next_window,
    readable,
    week_of,
    windows,
    zone_of,
)
from hub.core.rules import Reservation, Span, Weekly, Window

QUARTER = timedelta(minutes=15)
DAY, WEEK = timedelta(days=1), timedelta(weeks=1)
EVERY_DAY = tuple(range(7))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def clock(text: str) -> time:
    return time.fromisoformat(text)


def weekly(
    days: tuple[int, ...], start: str, end: str, zone: str = "Asia/Seoul",
    first: str = "2026-01-01", last: str | None = None,
) -> Reservation:
    when = Weekly(
        days, clock(start), clock(end), date.fromisoformat(first),
        date.fromisoformat(last) if last else None,
    )
    return Reservation("r", "ai", "1g.5gb", 1, when, zone)


def span(begins: str, ends: str, zone: str = "Asia/Seoul") -> Reservation:
    when = Span(datetime.fromisoformat(begins), datetime.fromisoformat(ends))
    return Reservation("r", "ai", "1g.5gb", 1, when, zone)


def found(one: Reservation, begin: str, end: str) -> list[tuple[str, str]]:
    return [
        (f"{x.begins:%m-%d %H:%M}", f"{x.ends:%m-%d %H:%M}")
        for x in windows(one, at(begin), at(end))
    ]


def test_hours_of_the_week_are_local() -> None:
    # 2026-11-02 is a Monday; Seoul is nine hours before UTC
    assert found(weekly((0, 2), "08:00", "10:30"), "2026-11-01", "2026-11-10") == [
        ("11-01 23:00", "11-02 01:30"), ("11-03 23:00", "11-04 01:30"),
        ("11-08 23:00", "11-09 01:30"),
    ]


@pytest.mark.parametrize(("begin", "end", "count"), [
    ("2026-11-02T02:00", "2026-11-02T03:00", 1),  # the whole of it is given, however little is in
    ("2026-11-02T00:00", "2026-11-02T01:00", 0),
    ("2026-11-02T00:00", "2026-11-02T01:00:01", 1),
    ("2026-11-02T03:00", "2026-11-02T04:00", 0),
    ("2026-11-02T02:59:59", "2026-11-02T04:00", 1),
    ("2026-11-02T02:00", "2026-11-02T02:00", 0),
    ("2026-11-02T03:00", "2026-11-02T01:00", 0),
])
def test_only_what_overlaps_is_given(begin: str, end: str, count: int) -> None:
    inside = [("11-02 01:00", "11-02 03:00")] * count
    assert found(weekly((0,), "10:00", "12:00"), begin, end) == inside
    assert found(span("2026-11-02T10:00", "2026-11-02T12:00"), begin, end) == inside


def test_the_first_and_the_last_date_count() -> None:
    one = weekly(EVERY_DAY, "10:00", "11:00", first="2026-11-03", last="2026-11-05")
    assert [x[0] for x in found(one, "2026-10-01", "2026-12-01")] == [
        "11-03 01:00", "11-04 01:00", "11-05 01:00"
    ]


def test_midnight_as_an_end_is_the_end_of_the_day() -> None:
    assert found(weekly((0,), "22:00", "00:00"), "2026-11-01", "2026-11-08") == [
        ("11-02 13:00", "11-02 15:00")
    ]
    whole = windows(weekly(EVERY_DAY, "00:00", "00:00"), at("2026-11-01"), at("2026-11-08"))
    assert all(x.ends - x.begins == DAY for x in whole)
    assert all(x.ends == y.begins for x, y in pairwise(whole))


def test_no_days_and_a_swallowed_day_are_nothing() -> None:
    assert windows(weekly((), "10:00", "11:00"), at("2026-11-01"), at("2027-11-01")) == ()
    # Samoa went over the date line, and had no 30th of December in 2011
    apia = weekly(EVERY_DAY, "10:00", "11:00", "Pacific/Apia", "2011-12-01")
    days = [local_of(x.begins, zone_of("Pacific/Apia")).day
            for x in windows(apia, at("2011-12-28"), at("2011-12-31T12:00"))]
    assert days == [28, 29, 31]


@pytest.mark.parametrize(("start", "end", "begins", "ends"), [
    # Berlin, 28 March 2027: after 01:59 comes 03:00 (01:00 UTC)
    ("01:30", "04:00", "03-28 00:30", "03-28 02:00"),
    ("02:00", "04:00", "03-28 01:00", "03-28 02:00"),
    ("02:30", "04:00", "03-28 01:00", "03-28 02:00"),
    ("01:00", "02:30", "03-28 00:00", "03-28 01:00"),
    ("02:30", "03:00", None, None),
    ("02:00", "03:00", None, None),
])
def test_the_clock_goes_forward(
    start: str, end: str, begins: str | None, ends: str | None
) -> None:
    one = weekly((6,), start, end, "Europe/Berlin")
    there = [] if begins is None else [(begins, ends)]
    assert found(one, "2027-03-27", "2027-03-29") == there


@pytest.mark.parametrize(("start", "end", "begins", "ends"), [
    # Berlin, 25 October 2026: after 02:59 comes 02:00 once more (01:00 UTC)
    ("01:30", "04:00", "10-24 23:30", "10-25 03:00"),
    ("02:00", "04:00", "10-25 00:00", "10-25 03:00"),
    ("01:00", "02:30", "10-24 23:00", "10-25 01:30"),
    ("02:15", "02:30", "10-25 00:15", "10-25 01:30"),
    ("01:00", "02:00", "10-24 23:00", "10-25 01:00"),
    ("03:00", "04:00", "10-25 02:00", "10-25 03:00"),
])
def test_the_clock_goes_back_and_the_class_gets_the_longer(
    start: str, end: str, begins: str, ends: str
) -> None:
    one = weekly((6,), start, end, "Europe/Berlin")
    assert found(one, "2026-10-24", "2026-10-26") == [(begins, ends)]


def test_a_span_over_a_clock_change() -> None:
    one = span("2026-10-25T02:30", "2026-10-25T02:45", "Europe/Berlin")
    assert found(one, "2026-10-24", "2026-10-26") == [("10-25 00:30", "10-25 01:45")]
    gone = span("2027-03-28T02:10", "2027-03-28T02:50", "Europe/Berlin")
    assert found(gone, "2027-03-27", "2027-03-29") == []


def test_midnight_that_does_not_exist() -> None:
    # São Paulo, 4 November 2018 (a Sunday): after Saturday's 23:59 comes 01:00 (03:00 UTC)
    both = weekly((5, 6), "00:00", "00:00", "America/Sao_Paulo", "2018-01-01")
    assert found(both, "2018-11-03T12:00", "2018-11-04T12:00") == [
        ("11-03 03:00", "11-04 03:00"), ("11-04 03:00", "11-05 02:00")
    ]


def test_midnight_that_comes_twice_belongs_to_the_day_that_ends() -> None:
    # Havana, 1 November 2026 (a Sunday): after 00:59 comes 00:00 once more (05:00 UTC)
    both = weekly((5, 6), "00:00", "00:00", "America/Havana")
    assert found(both, "2026-10-31T12:00", "2026-11-01T12:00") == [
        ("10-31 04:00", "11-01 05:00"), ("11-01 05:00", "11-02 05:00")
    ]
    assert found(both, "2026-11-01T12:00", "2026-11-02") == [("11-01 05:00", "11-02 05:00")]
    alone = weekly((6,), "00:00", "12:00", "America/Havana")
    assert found(alone, "2026-10-31", "2026-11-02") == [("11-01 04:00", "11-01 17:00")]


def test_a_zone_whose_clock_changes_at_a_minute_past_midnight() -> None:
    # St. John's, 7 November 2010: after 00:00:59 comes 23:01 of the day before (02:31 UTC)
    both = weekly(EVERY_DAY, "23:30", "00:00", "America/St_Johns", "2010-01-01")
    assert found(both, "2010-11-06T12:00", "2010-11-08T04:00") == [
        ("11-07 02:00", "11-07 03:30"), ("11-08 03:00", "11-08 03:30")
    ]
    # while the clock shows the day before once more, the next day has begun already
    after = weekly(EVERY_DAY, "00:00", "02:00", "America/St_Johns", "2010-01-01")
    assert found(after, "2010-11-07T02:35", "2010-11-07T02:45") == [
        ("11-07 02:30", "11-07 05:30")
    ]


def test_an_old_reservation_costs_no_more() -> None:
    old = weekly((0,), "10:00", "12:00", first="1970-01-01")
    new = weekly((0,), "10:00", "12:00", first="2026-10-01")
    assert found(old, "2026-11-01", "2026-11-20") == found(new, "2026-11-01", "2026-11-20")


@pytest.mark.parametrize(("now", "begins"), [
    ("2026-11-02T00:00", "2026-11-02T01:00"),
    ("2026-11-02T02:59", "2026-11-02T01:00"),
    ("2026-11-02T03:00", "2026-11-09T01:00"),
    ("2020-01-01T00:00", "2026-01-05T01:00"),
    ("2026-12-07T02:00", "2026-12-07T01:00"),
    ("2026-12-07T03:00", None),
])
def test_the_next_window(now: str, begins: str | None) -> None:
    one = weekly((0,), "10:00", "12:00", last="2026-12-07")
    there = next_window(one, at(now))
    assert (there and there.begins) == (begins and at(begins))


def test_the_next_window_of_a_span_and_over_a_swallowed_one() -> None:
    one = span("2026-11-02T10:00", "2026-11-02T12:00")
    window = Window(at("2026-11-02T01:00"), at("2026-11-02T03:00"))
    assert next_window(one, at("2020-01-01")) == window
    assert next_window(one, at("2026-11-02T02:59")) == window
    assert next_window(one, at("2026-11-02T03:00")) is None
    sunday = weekly((6,), "02:00", "03:00", "Europe/Berlin")
    after = next_window(sunday, at("2027-03-25"))
    assert after == Window(at("2027-04-04T00:00"), at("2027-04-04T01:00"))


@pytest.mark.parametrize(("now", "zone", "day", "time", "begin", "hours"), [
    ("2026-11-04T12:00", "UTC", 0, "00:00", "2026-11-02T00:00", 168),
    ("2026-11-02T00:00", "UTC", 0, "00:00", "2026-11-02T00:00", 168),
    ("2026-11-01T23:59", "UTC", 0, "00:00", "2026-10-26T00:00", 168),
    ("2026-11-01T15:00", "Asia/Seoul", 0, "00:00", "2026-11-01T15:00", 168),
    ("2026-11-01T14:59", "Asia/Seoul", 0, "00:00", "2026-10-25T15:00", 168),
    ("2026-11-02T10:00", "Asia/Seoul", 0, "20:00", "2026-10-26T11:00", 168),
    ("2026-11-02T11:00", "Asia/Seoul", 0, "20:00", "2026-11-02T11:00", 168),
    ("2026-10-22T12:00", "Europe/Berlin", 0, "00:00", "2026-10-18T22:00", 169),
    ("2027-03-24T12:00", "Europe/Berlin", 0, "00:00", "2027-03-21T23:00", 167),
    # a beginning that does not exist, and one that comes twice
    ("2027-03-28T01:00", "Europe/Berlin", 6, "02:30", "2027-03-28T01:00", 167.5),
    ("2027-03-28T00:59", "Europe/Berlin", 6, "02:30", "2027-03-21T01:30", 167.5),
    ("2026-10-25T01:00", "Europe/Berlin", 6, "02:30", "2026-10-25T00:30", 169),
    ("2026-10-25T00:29", "Europe/Berlin", 6, "02:30", "2026-10-18T00:30", 168),
])
def test_the_quotas_week(
    now: str, zone: str, day: int, time: str, begin: str, hours: float
) -> None:
    there = week_of(at(now), zone, day, clock(time))
    assert there == (at(begin), at(begin) + timedelta(hours=hours))


ZONES = st.sampled_from([
    ("Asia/Seoul", "2026-11-01"), ("Europe/Berlin", "2026-10-25"), ("Europe/Berlin", "2027-03-28"),
    ("America/Sao_Paulo", "2018-02-18"), ("America/Sao_Paulo", "2018-11-04"),
    ("America/Havana", "2026-11-01"), ("America/Havana", "2027-03-14"),
    ("Australia/Lord_Howe", "2026-10-04"), ("Australia/Lord_Howe", "2027-04-04"),
    ("Pacific/Apia", "2011-12-30"), ("Africa/Casablanca", "2026-02-15"),
    ("America/St_Johns", "2027-03-14"), ("Asia/Kathmandu", "2026-11-01"),
])
QUARTERS = st.integers(0, 95)


def wall(quarters: int) -> time:
    return time(quarters // 4, quarters % 4 * 15)


@given(
    where=ZONES, days=st.sets(st.integers(0, 6), min_size=1), start=QUARTERS,
    length=st.integers(1, 96), reach=st.integers(-6, 6), rest=st.none() | st.integers(0, 9),
)
def test_windows_agree_with_watching_the_clock(
    where: tuple[str, str], days: set[int], start: int, length: int, reach: int, rest: int | None
) -> None:
    zone, change = ZoneInfo(where[0]), date.fromisoformat(where[1])
    first = change + timedelta(days=reach)
    last = None if rest is None else first + timedelta(days=rest)
    end = min(start + length, 96)
    when = Weekly(tuple(sorted(days)), wall(start), wall(end % 96), first, last)
    begin = datetime.combine(change, time(0), UTC) - 9 * DAY
    watched = [begin + i * QUARTER for i in range(18 * 96)]
    shown = [x.astimezone(zone).replace(tzinfo=None) for x in watched]
    inside: set[datetime] = set()
    for n in range(-8, 8):
        day = change + timedelta(days=n)
        if day.weekday() not in days or day < first or (last is not None and day > last):
            continue
        midnight = datetime.combine(day, time(0))
        opens = next(i for i, x in enumerate(shown) if x >= midnight + start * QUARTER)
        closing = midnight + end * QUARTER
        # the last time that the clock shows it; where it never does, behind all before it
        closes = max((i for i, x in enumerate(shown) if x == closing), default=None) or max(
            i for i, x in enumerate(shown) if x < closing) + 1
        inside.update(watched[opens:closes])

    one = Reservation("r", "ai", "1g.5gb", 1, when, where[0])
    there = windows(one, begin, begin + 16 * DAY)
    assert {x for x in watched[:16 * 96] if any(w.begins <= x < w.ends for w in there)} == {
        x for x in inside if x < begin + 16 * DAY
    }
    assert all(x.begins < x.ends for x in there)
    assert all(x.ends <= y.begins for x, y in pairwise(there))
    for cut in (begin + 8 * DAY, begin + 9 * DAY + 3 * QUARTER):
        narrow = windows(one, cut, cut + DAY)
        assert narrow == tuple(x for x in there if x.begins < cut + DAY and cut < x.ends)
        after = [x for x in windows(one, cut, cut + 5 * WEEK) if cut < x.ends]
        assert next_window(one, cut) == next(iter(after), None)


@given(where=ZONES, reach=st.integers(-900, 900), day=st.integers(0, 6), begins=QUARTERS)
def test_the_quotas_weeks_follow_each_other(
    where: tuple[str, str], reach: int, day: int, begins: int
) -> None:
    now = datetime.combine(date.fromisoformat(where[1]), time(0), UTC) + reach * QUARTER
    begin, end = week_of(now, where[0], day, wall(begins))
    assert begin <= now < end
    assert week_of(end, where[0], day, wall(begins))[0] == end
    assert week_of(end - QUARTER, where[0], day, wall(begins)) == (begin, end)
    shown = local_of(begin, zone_of(where[0]))
    local = datetime.combine(shown.date(), wall(begins))
    assert shown == local or not exists(local, zone_of(where[0])) or where[0] == "Pacific/Apia"


@given(where=ZONES, minutes=st.integers(-6000, 6000))
def test_a_local_time_there_and_back(where: tuple[str, str], minutes: int) -> None:
    zone = zone_of(where[0])
    local = datetime.combine(date.fromisoformat(where[1]), time(0)) + timedelta(minutes=minutes)
    for late in (False, True):
        there = moment(local, zone, late=late)
        if exists(local, zone):
            assert local_of(there, zone) == local
        else:
            second = timedelta(seconds=1)
            assert local_of(there, zone) > local > local_of(there - second, zone)
    assert moment(local, zone) <= moment(local, zone, late=True)


@pytest.mark.parametrize("zone", ["Mars/Base", "", "../../etc/passwd", "Asia"])
def test_hours_in_a_zone_that_is_known_no_more_are_none(zone: str) -> None:
    for one in (weekly((0, 1), "08:00", "10:00", zone), span(
        "2026-11-02T08:00", "2026-11-02T10:00", zone
    )):
        assert not readable(one)
        assert windows(one, at("2026-11-01"), at("2026-12-01")) == ()
        assert next_window(one, at("2026-11-01")) is None
