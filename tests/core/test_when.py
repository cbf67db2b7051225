from datetime import UTC, date, datetime, time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.rules import Span, Weekly
from hub.core.timetable import parse_when
from hub.errors import BadInput
from hub.face import words

NOW = datetime(2026, 11, 2, 1, 30, tzinfo=UTC)  # a Monday; 10:30 in Seoul, 02:30 in Berlin
HOURS: dict[str, Any] = {"days": ["mon"], "start": "10:00", "end": "12:00", "zone": "Asia/Seoul"}
SPAN: dict[str, Any] = {
    "begins": "2026-12-01T09:00", "ends": "2026-12-03T18:00", "zone": "Asia/Seoul"
}


def read(base: dict[str, Any], **rest: Any) -> Weekly | Span:
    return parse_when(**(base | rest), now=NOW)


def said(base: dict[str, Any], **rest: Any) -> str:
    with pytest.raises(BadInput) as caught:
        read(base, **rest)
    assert caught.value.reason == "reservation"
    assert caught.value.status == 400
    korean = words.refusal("ko", caught.value)
    assert korean.startswith("예약하지 않았습니다. ")
    # every sentence of it, and not one in English between
    assert not any(x in korean for x in (" is ", " are ", "Write", "Choose", "Say", " not "))
    start = "Nothing was reserved. "
    assert caught.value.message.startswith(start)
    return caught.value.message.removeprefix(start)


def test_hours_of_the_week() -> None:
    assert read(HOURS) == Weekly((0,), time(10), time(12), date(2026, 11, 2))
    assert read(HOURS, first="2026-11-23", last="2027-02-26") == Weekly(
        (0,), time(10), time(12), date(2026, 11, 23), date(2027, 2, 26))
    assert read(HOURS, first="1999-01-01", last="9999-12-31").last == date(9999, 12, 31)


def test_today_is_the_zones() -> None:
    late = datetime(2026, 11, 2, 16, tzinfo=UTC)
    assert parse_when(**HOURS, now=late).first == date(2026, 11, 3)
    assert parse_when(**(HOURS | {"zone": "America/New_York"}), now=NOW).first == date(2026, 11, 1)


@pytest.mark.parametrize(("days", "numbers"), [
    (["wed", "mon", "mon"], (0, 2)),
    (["Monday", "THU", "sunday", "Tues"], (0, 1, 3, 6)),
    (["mon,tue", "fri sat"], (0, 1, 4, 5)),
    (["월", "수", "금"], (0, 2, 4)),
    (["월수금"], (0, 2, 4)),
    (["일요일", "토요일"], (5, 6)),
    ("월수", (0, 2)),
    ("mon, wed", (0, 2)),
])
def test_days_as_people_write_them(days: Any, numbers: tuple[int, ...]) -> None:
    assert read(HOURS, days=days).days == numbers


@pytest.mark.parametrize(("start", "end", "hours"), [
    ("10:00", "00:00", (time(10), time(0))),
    ("00:00", "24:00", (time(0), time(0))),
    ("00:00", "00:00", (time(0), time(0))),
    ("9:05", " 23:59 ", (time(9, 5), time(23, 59))),
    ("23:50", "00:00", (time(23, 50), time(0))),
])
def test_hours_of_the_day(start: str, end: str, hours: tuple[time, time]) -> None:
    when = read(HOURS, start=start, end=end)
    assert (when.start, when.end) == hours


def test_a_span() -> None:
    whole = Span(datetime(2026, 12, 1, 9), datetime(2026, 12, 3, 18))  # noqa: DTZ001 - local
    assert read(SPAN) == whole
    assert read(SPAN, begins=" 2026-12-01 09:00", ends="2026-12-03 18:00 ") == whole


def test_31_days_are_not_too_long_whatever_the_clock_does() -> None:
    for begins, ends in (("2027-03-01T00:00", "2027-04-01T00:00"),
                         ("2027-10-01T00:00", "2027-11-01T00:00")):
        assert isinstance(read(SPAN, begins=begins, ends=ends, zone="Europe/Berlin"), Span)


def test_a_form_may_take_a_minute_to_send() -> None:
    now = read(SPAN, begins="2026-11-02T10:29", ends="2026-11-02T12:00")
    assert isinstance(now, Span)


@pytest.mark.parametrize(("base", "change", "problem"), [
    (HOURS, {"zone": "Asia/Soul"},
     "There is no time zone 'Asia/Soul'. Write it like Asia/Seoul or Europe/Berlin."),
    (HOURS, {"days": ["mon", "someday"]},
     "'someday' is no weekday. Write mon, tue, wed, thu, fri, sat or sun."),
    (HOURS, {"days": ["mo"]}, "'mo' is no weekday. Write mon, tue, wed, thu, fri, sat or sun."),
    (HOURS, {"days": ["요일"]}, "'요일' is no weekday. Write mon, tue, wed, thu, fri, sat or sun."),
    (HOURS, {"start": "ten"}, "'ten' is no time of the day. Write it like 09:30."),
    (HOURS, {"start": "24:00"}, "'24:00' is no time of the day. Write it like 09:30."),
    (HOURS, {"end": "12:60"}, "'12:60' is no time of the day. Write it like 09:30."),
    (HOURS, {"first": "2026-02-30"}, "'2026-02-30' is no date. Write it like 2027-03-02."),
    (HOURS, {"last": "20261231"}, "'20261231' is no date. Write it like 2027-03-02."),
    (HOURS, {"start": "12:00"},
     "Its end 12:00 is not after its start 12:00. The end of the day is 00:00."),
    (HOURS, {"start": "13:00"},
     "Its end 12:00 is not after its start 13:00. The end of the day is 00:00."),
    (HOURS, {"start": "11:51"}, "It is shorter than 10 minutes. Make it longer."),
    (HOURS, {"start": "23:51", "end": "00:00"}, "It is shorter than 10 minutes. Make it longer."),
    (HOURS, {"first": "2026-12-02", "last": "2026-12-01"},
     "Its last date 2026-12-01 is before its first, 2026-12-02."),
    (HOURS, {"last": "2026-11-01"},
     "None of its hours is to come: its last date is 2026-11-01. Choose a later one."),
    (HOURS, {"first": "2026-10-01", "last": "2026-10-31"},
     "None of its hours is to come: its last date is 2026-10-31. Choose a later one."),
    (HOURS, {"end": "10:20", "last": "2026-11-02"},
     "None of its hours is to come: its last date is 2026-11-02. Choose a later one."),
    (HOURS, {"first": "2026-11-24", "last": "2026-11-29"},
     "None of its weekdays is from 2026-11-24 to 2026-11-29. Choose other days or dates."),
    (HOURS, {"first": "2062-11-23"},
     "2062-11-23 00:00 is more than 10 years away. Check the year."),
    (HOURS, {"start": ""}, "Hours of the week need weekdays, a start and an end."),
    (HOURS, {"days": []}, "Hours of the week need weekdays, a start and an end."),
    (HOURS, {"days": [" "], "first": "2026-12-01"},
     "Hours of the week need weekdays, a start and an end."),
    (HOURS, {"begins": "2026-12-01T09:00"},
     "Give either days of the week with start and end, or one beginning and one end; not both."),
    ({"zone": "Asia/Seoul"}, {},
     "Say when: days of the week with start and end, or one beginning and one end."),
    (SPAN, {"ends": ""}, "A span needs a beginning and an end, each a date with a time."),
    (SPAN, {"zone": ""},
     "There is no time zone ''. Write it like Asia/Seoul or Europe/Berlin."),
    (SPAN, {"begins": "2026-12-01"},
     "'2026-12-01' is no date with a time. Write it like 2027-03-02T09:30, in local time."),
    (SPAN, {"begins": "2026-12-01T09:00+09:00"}, "'2026-12-01T09:00+09:00' is no date with a time. "
     "Write it like 2027-03-02T09:30, in local time."),
    (SPAN, {"begins": "0001-01-01T00:00"},
     "'0001-01-01T00:00' is no date with a time. Write it like 2027-03-02T09:30, in local time."),
    (SPAN, {"ends": "9999-12-31T23:59", "zone": "America/New_York"},
     "9999-12-31 23:59 is more than 10 years away. Check the year."),
    (SPAN, {"ends": "2026-12-01T09:00"},
     "Its end 2026-12-01 09:00 is not after its beginning 2026-12-01 09:00."),
    (SPAN, {"ends": "2026-12-01T09:09"}, "It is shorter than 10 minutes. Make it longer."),
    (SPAN, {"ends": "2027-01-01T09:01"},
     "It is longer than 31 days. Make it hours of the week, or several reservations."),
    (SPAN, {"begins": "2026-11-01T09:00", "ends": "2026-11-02T10:30"},
     "It is over already: 2026-11-02 10:30 is in the past. Choose a later time."),
    (SPAN, {"begins": "2026-11-02T10:28", "ends": "2026-11-02T12:00"},
     "It begins at 2026-11-02 10:28, in the past; it is 2026-11-02 10:30 in Asia/Seoul. "
     "Choose a later time."),
    (SPAN, {"begins": "2027-03-28T02:30", "ends": "2027-03-28T12:00", "zone": "Europe/Berlin"},
     "2027-03-28 02:30 does not exist in Europe/Berlin: the clock goes forward over it. "
     "Take 2027-03-28 03:00."),
    (SPAN, {"begins": "2027-03-27T12:00", "ends": "2027-03-28T02:00", "zone": "Europe/Berlin"},
     "2027-03-28 02:00 does not exist in Europe/Berlin: the clock goes forward over it. "
     "Take 2027-03-28 03:00."),
    (SPAN, {"begins": "2027-03-28T01:55", "ends": "2027-03-28T03:00", "zone": "Europe/Berlin"},
     "It is shorter than 10 minutes. Make it longer."),
])
def test_what_is_refused_and_how(
    base: dict[str, Any], change: dict[str, Any], problem: str
) -> None:
    assert said(base, **change) == problem


def test_hours_of_the_week_are_not_refused_for_a_clock_change() -> None:
    swallowed = read(HOURS, days=["sun"], start="02:00", end="03:00", zone="Europe/Berlin")
    assert swallowed.start == time(2)
    once = read(HOURS, days=["sun"], start="02:30", end="04:00", zone="Europe/Berlin",
                first="2027-03-28", last="2027-03-28")
    assert once.start == time(2, 30)


def test_every_problem_is_told_at_once() -> None:
    assert said(HOURS, zone="Mars", days=["x", "y"], start="9", last="soon") == (
        "There is no time zone 'Mars'. Write it like Asia/Seoul or Europe/Berlin. "
        "'x' is no weekday. Write mon, tue, wed, thu, fri, sat or sun. "
        "'y' is no weekday. Write mon, tue, wed, thu, fri, sat or sun. "
        "'9' is no time of the day. Write it like 09:30. "
        "'soon' is no date. Write it like 2027-03-02."
    )
    assert said(SPAN, begins="2026-10-03T09:00", ends="2026-10-01T09:00") == (
        "Its end 2026-10-01 09:00 is not after its beginning 2026-10-03 09:00. "
        "It is over already: 2026-10-01 09:00 is in the past. Choose a later time."
    )


@pytest.mark.parametrize("zone", [
    "", "Europe", "europe/berlin", "../../etc/passwd", "/etc/passwd", "a" * 5000, "\0", "tzdata.zi",
    "\ud800", "x y", ".", "{0}", "Asia/Seoul/",
])
def test_a_zone_that_is_none(zone: str) -> None:
    with pytest.raises(BadInput, match="no time zone"):
        read(HOURS, zone=zone)


def test_long_and_odd_texts_are_told_short_and_as_they_are() -> None:
    assert len(said(HOURS, start="1" * 100_000)) < 200
    assert said(HOURS, days=["{0.__class__}"]).startswith("'{0.__class__}' is no weekday.")


TEXT = st.text(max_size=20) | st.sampled_from([
    "mon", "월", "10:00", "12:00", "2026-12-01", "2026-12-01T09:00", "9999-12-31", "", "24:00",
    "1970-01-01T00:00", "2036-12-31T23:59", "2027-03-28T02:30",
])


@given(
    days=st.lists(TEXT, max_size=3), start=TEXT, end=TEXT, first=TEXT, last=TEXT, begins=TEXT,
    ends=TEXT, zone=st.sampled_from(["Asia/Seoul", "America/Havana", "Europe/Berlin"]) | TEXT,
    which=st.sampled_from(["weekly", "span", "all"]),
)
def test_whatever_is_typed_is_read_or_refused(which: str, **form: Any) -> None:
    only = {"weekly": ("begins", "ends"), "span": ("days", "start", "end", "first", "last")}
    for name in only.get(which, ()):
        form[name] = ""
    try:
        found: Weekly | Span | None = parse_when(**form, now=NOW)
        refusal = None
    except BadInput as e:
        found, refusal = None, e
    if refusal is not None:
        assert refusal.reason == "reservation"
        assert words.refusal("ko", refusal).startswith("예약하지 않았습니다. ")
    else:
        assert isinstance(found, Weekly | Span)
