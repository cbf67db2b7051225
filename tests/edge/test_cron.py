"""Slots over the changes of the clocks: each once, none left out, in the order of time."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hub.edge import cron
from hub.errors import BadInput

ZONES = ("Europe/Amsterdam", "America/New_York", "Australia/Lord_Howe", "Asia/Seoul", "UTC")
CRONS = (
    "30 2 * * *", "0 2 * * *", "15,45 1 * * *", "*/20 * * * *", "0 * * * *", "30 2 * * sun",
    "59 23 * * *", "0 0 * * *", "10 1-3 * * *",
)


def at(text: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def between(expr: str, zone: str, begin: datetime, end: datetime) -> list[cron.Slot]:
    found, now = [], begin
    while (slot := cron.following(expr, zone, now)).at < end:
        found.append(slot)
        now = slot.at
    return found


def test_a_slot_in_springs_gap_comes_once_at_the_gaps_end() -> None:
    zone, begin, end = "Europe/Amsterdam", at("2027-03-27T00:00"), at("2027-03-30T00:00")
    found = between("30 2 * * *", zone, begin, end)
    assert [x.name for x in found] == ["2027-03-27T02:30", "2027-03-28T02:30", "2027-03-29T02:30"]
    assert [x.at for x in found] == [
        at("2027-03-27T01:30"), at("2027-03-28T01:00"), at("2027-03-29T00:30"),
    ]


def test_a_slot_in_autumns_second_hour_comes_once() -> None:
    zone, begin, end = "Europe/Amsterdam", at("2027-10-30T00:00"), at("2027-11-02T00:00")
    found = between("30 2 * * *", zone, begin, end)
    assert [x.name for x in found] == ["2027-10-30T02:30", "2027-10-31T02:30", "2027-11-01T02:30"]
    assert found[1].at == at("2027-10-31T00:30")


def test_in_the_hour_that_comes_twice_each_slot_is_meant_the_first_time() -> None:
    found = between("*/30 * * * *", "Europe/Amsterdam", at("2027-10-30T23:45"),
                    at("2027-10-31T03:00"))
    assert [x.name[11:] for x in found] == ["02:00", "02:30", "03:00", "03:30"]
    assert found[2].at - found[1].at == timedelta(minutes=90)


def test_half_an_hour_of_lord_howe_is_skipped_and_repeated_too() -> None:
    zone = "Australia/Lord_Howe"
    spring = between("15 2 * * *", zone, at("2027-10-01T00:00"), at("2027-10-04T00:00"))
    assert [x.name for x in spring] == [f"2027-10-0{d}T02:15" for d in (2, 3, 4)]
    assert (spring[1].at - spring[0].at, spring[2].at - spring[1].at) == (
        timedelta(hours=24) - timedelta(minutes=15), timedelta(hours=24) - timedelta(minutes=15),
    )
    autumn = between("45 1 * * *", zone, at("2027-04-02T00:00"), at("2027-04-05T00:00"))
    assert [x.name for x in autumn] == [f"2027-04-0{d}T01:45" for d in (3, 4, 5)]


moments = st.datetimes(datetime(2026, 1, 1), datetime(2028, 12, 31)).map(  # noqa: DTZ001
    lambda x: x.replace(tzinfo=UTC)
)
# the days around the changes, in which everything happens
changes = st.builds(
    lambda day, minutes: at(day) + timedelta(minutes=minutes, seconds=minutes % 61),
    st.sampled_from(["2027-03-28", "2027-10-31", "2027-03-14", "2027-11-07", "2027-04-03",
                     "2027-10-02"]),
    st.integers(-600, 2000),
)


@given(st.sampled_from(CRONS), st.sampled_from(ZONES), moments | changes)
@example("*/20 * * * *", "Europe/Amsterdam", at("2027-10-31T01:10"))
def test_the_latest_and_the_following_slot_are_neighbours(
    expr: str, zone: str, now: datetime
) -> None:
    before, after = cron.latest(expr, zone, now), cron.following(expr, zone, now)
    assert before.at <= now < after.at
    assert before.local < after.local
    # nothing lies between: who follows the earlier one finds the later one
    assert cron.following(expr, zone, before.at).at == after.at
    # of several slots that a clock skips together, the last is the latest
    assert cron.latest(expr, zone, after.at).at == after.at


@given(st.sampled_from(CRONS), st.sampled_from(ZONES), changes, st.integers(9, 400))
def test_whoever_looks_every_so_often_sees_each_slot_once(
    expr: str, zone: str, begin: datetime, minutes: int
) -> None:
    """As the tick does: what is due since the last look, whatever lies between two looks."""
    end, seen, now, found = begin + timedelta(hours=30), begin, begin, []
    while now < end:
        now = min(now + timedelta(minutes=minutes), end)
        slot = cron.latest(expr, zone, now)
        if slot.at > seen:
            found.append(slot.name)
        seen = now
    assert found == sorted(set(found))
    every = [x.at for x in between(expr, zone, begin, end + timedelta(minutes=1))]
    assert len(found) <= len(every)
    apart = min((b - a for a, b in pairwise(every)), default=timedelta(days=1))
    if apart > timedelta(minutes=minutes):
        assert len(found) == len([x for x in every if x <= end])


@given(st.sampled_from(ZONES), st.dates(date(2026, 1, 2), date(2028, 1, 1)))
def test_a_daily_slot_comes_each_day_whatever_the_clocks_do(zone: str, day: object) -> None:
    begin = at(f"{day}T12:00", zone)
    found = between("30 2 * * *", zone, begin, begin + timedelta(days=5, hours=1))
    days = [x.local.date() for x in found]
    assert days == [days[0] + timedelta(days=i) for i in range(5)]


@pytest.mark.parametrize("bad", [
    "", "* * * *", "* * * * * *", "@daily", "60 * * * *", "* 24 * * *", "R * * * *", "H * * * *",
    "*/0 * * * *", "a b c d e", "0 0 31 2 *", "0 0 30 2 *", "1," * 60 + "1 * * * *", "-1 * * * *",
    "٣ 2 * * *", "0 2 * * *\n0 3 * * *", "0 0 * * mon#9", "\0 * * * *", "R(1-5) * * * *",
])
def test_what_is_no_time_is_refused_with_an_example(bad: str) -> None:
    with pytest.raises(BadInput, match="five fields") as caught:
        cron.check(bad)
    assert caught.value.reason == "schedule"


@pytest.mark.parametrize("good", [
    "0 2 * * *", "*/5 9-17 * * MON-FRI", "0 0 29 2 *", "0 0 L * *", "30 18 1,15 jan-jun *",
    "0 9 * * 7", " 0   2 * *  * ",
])
def test_what_is_a_time_is_tidied(good: str) -> None:
    assert cron.check(good) == " ".join(good.split())
    slot = cron.following(cron.check(good), "Asia/Seoul", at("2026-11-23T08:00"))
    assert slot.at > at("2026-11-23T08:00")


def test_the_next_ones_are_in_order() -> None:
    found = cron.upcoming("0 2 * * *", "Asia/Seoul", at("2026-11-23T20:00"), 3)
    assert [x.name for x in found] == [f"2026-11-{d}T02:00" for d in (25, 26, 27)]
    assert found[0].at == at("2026-11-24T17:00")
