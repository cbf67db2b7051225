from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest

from hub.core.rules import Reservation, Rules, Span, Weekly, Window
from hub.core.timetable import check, next_window, parse_when, week_of
from hub.errors import BadInput
from hub.face import words
from tests.core.wishes import BIG, NOW, RULES, SMALL, TOTALS, typed

DAY = timedelta(days=1)
CASES: list[Any] = [
    ({"profile": "7g.40gb"}, "No GPU here is cut into 7g.40gb. Sizes here: 1g.5gb, 3g.20gb."),
    ({"count": 0}, "0 slices cannot be reserved: the fewest are 1."),
    ({"count": -3}, "-3 slices cannot be reserved: the fewest are 1."),
    ({"count": 5}, "5 slices of 1g.5gb cannot be reserved: there are 4."),
    ({"profile": BIG, "count": 3}, "3 slices of 3g.20gb cannot be reserved: there are 2."),
    ({"profile": "x", "count": 0}, "No GPU here is cut into x. Sizes here: 1g.5gb, 3g.20gb. "
     "0 slices cannot be reserved: the fewest are 1."),
]


def hours(days: str, start: str, end: str, **rest: Any) -> Weekly:
    when = parse_when(days=[days], start=start, end=end, zone="Asia/Seoul", now=NOW, **rest)
    assert isinstance(when, Weekly)
    return when


def span(begins: str, ends: str, zone: str = "Asia/Seoul") -> Span:
    when = parse_when(begins=f"2026-{begins}", ends=f"2026-{ends}", zone=zone, now=NOW)
    assert isinstance(when, Span)
    return when


def wanted(when: Weekly | Span, count: int = 3, group: str = "ai", **rest: Any) -> Reservation:
    one = Reservation(group, group, SMALL, count, when, "Asia/Seoul")
    return replace(one, **rest)


def refused(new: Reservation, *others: Reservation, busy: Sequence[datetime] = ()) -> BadInput:
    with pytest.raises(BadInput) as caught:
        check(new, others, TOTALS, busy, NOW, RULES)
    fits = caught.value.values.get("fits")
    if isinstance(fits, Weekly | Span):
        moved = replace(new, when=fits)
        check(moved, others, TOTALS, busy, NOW, RULES)
        assert typed(moved) == fits
    korean = words.refusal("ko", caught.value)
    assert not any(x in korean for x in (" is ", " are ", " only ", "would", "fits", "Mon", "Tue"))
    return caught.value


# ---- what can never be --------------------------------------------------------------------------


@pytest.mark.parametrize(("change", "problem"), CASES)
def test_a_count_and_a_size_that_there_is(change: dict[str, Any], problem: str) -> None:
    refusal = refused(replace(wanted(hours("mon", "10:00", "12:00")), **change))
    assert refusal.message == f"Nothing was reserved. {problem}"
    assert (refusal.reason, refusal.status) == ("reservation", 400)


def test_without_any_gpu_nothing_can_be_reserved() -> None:
    with pytest.raises(BadInput, match="Sizes here: -"):
        check(wanted(hours("mon", "10:00", "12:00")), (), {}, (), NOW, RULES)


def test_hours_that_are_over() -> None:
    over = Weekly((0,), time(10), time(12), date(2026, 1, 1), date(2026, 10, 31))
    assert refused(wanted(over)).message == (
        "Nothing was reserved. None of its hours is to come. Choose later dates."
    )
    with pytest.raises(BadInput):
        check(wanted(span("12-01 10:00", "12-01 12:00")), (), TOTALS, (), NOW + 99 * DAY, RULES)


# ---- other reservations -------------------------------------------------------------------------


def test_what_is_free_is_accepted() -> None:
    new = wanted(hours("mon wed", "10:00", "12:00"))
    for other in (
        wanted(hours("mon", "12:00", "14:00"), 4, "nlp"),
        wanted(hours("tue thu", "10:00", "12:00"), 4, "nlp"),
        wanted(hours("mon", "10:00", "12:00"), 1, "nlp"),
        wanted(hours("mon", "10:00", "12:00"), 2, "nlp", profile=BIG),
        wanted(replace(new.when, last=date(2026, 11, 1)), 4, "nlp"),
        replace(new, count=4),  # itself, as it was before
        wanted(hours("mon", "10:00", "12:00"), 4, "nlp", zone="Europe/Berlin"),
    ):
        check(new, [other], TOTALS, (), NOW, RULES)


def test_a_conflict_names_the_group_the_moment_and_what_would_fit() -> None:
    new = wanted(hours("mon", "10:00", "12:00"))
    refusal = refused(new, wanted(hours("mon", "11:00", "13:00", first="2026-11-16"), 3, "nlp"))
    assert refusal.message == (
        "At 2026-11-16 11:00 (Asia/Seoul) only 1 of 4 slices of 1g.5gb are left; the rest is "
        "reserved for nlp. On the same days it would fit from 09:00 to 11:00."
    )
    assert words.refusal("ko", refusal) == (
        "2026-11-16 11:00(Asia/Seoul)에는 1g.5gb 슬라이스 4개 중 1개만 남아 있습니다. 나머지는 "
        "nlp에 예약되어 있습니다. 같은 요일이라면 09:00~11:00에 가능합니다."
    )
    assert (refusal.reason, refusal.status) == ("reservation-conflict", 409)
    assert refusal.values["fits"] == replace(new.when, start=time(9), end=time(11))
    assert refusal.values["left"] == 1


def test_the_worst_moment_is_told_and_those_with_most_slices_first() -> None:
    others = [
        wanted(hours("mon", "10:00", "11:00"), 2, "first"),
        *(wanted(hours("mon", "11:00", "12:00"), 1, x, id=x) for x in ("a", "b")),
        wanted(hours("mon", "11:00", "12:00"), 2, "most"),
    ]
    message = refused(wanted(hours("mon", "10:00", "12:00"), 3), *others).message
    assert message.startswith("At 2026-11-02 11:00 (Asia/Seoul) only 0 of 4 slices of 1g.5gb are ")
    assert "reserved for most, a, b. " in message
    others.append(wanted(hours("mon", "11:00", "12:00"), 1, "c"))
    assert "reserved for most, a, b, …. " in refused(wanted(hours("mon", "11:00", "12:00")),
                                                   *others).message


def test_where_the_day_is_full_another_day_is_proposed() -> None:
    new = wanted(hours("mon", "10:00", "12:00", last="2027-02-26"))
    refusal = refused(new, wanted(hours("mon tue", "00:00", "24:00"), 2, "nlp"))
    assert refusal.values["fits"] == replace(new.when, days=(2,))
    assert refusal.message.endswith("On other days it would fit: Wed, from 10:00 to 12:00.")
    assert words.refusal("ko", refusal).endswith("다른 요일이라면 가능합니다: 수, 10:00~12:00.")
    morning = wanted(hours("wed thu fri sat sun", "00:00", "12:00"), 2, "cv")
    refusal = refused(new, wanted(hours("mon tue", "00:00", "24:00"), 2, "nlp"), morning)
    assert refusal.values["fits"] == replace(new.when, days=(2,), start=time(12), end=time(14))


def test_where_nothing_fits_it_is_said() -> None:
    always = wanted(hours("mon tue wed thu fri sat sun", "00:00", "24:00"), 2, "nlp")
    refusal = refused(wanted(hours("mon", "10:00", "12:00")), always)
    assert refusal.message.endswith("No other hours fit: ask for fewer slices, or for less time.")
    assert refusal.values["fits"] is None
    refusal = refused(wanted(span("12-01 10:00", "12-01 12:00")), always)
    assert refusal.message.endswith(
        "Nothing fits in the four weeks after it: ask for fewer slices, or for less time.")
    assert refusal.values["fits"] is None
    check(wanted(hours("mon", "10:00", "12:00"), 2), [always], TOTALS, (), NOW, RULES)


def test_the_whole_week_can_only_have_fewer_slices() -> None:
    whole = wanted(hours("mon tue wed thu fri sat sun", "00:00", "24:00"))
    refusal = refused(whole, wanted(hours("mon", "10:00", "12:00"), 2, "nlp"))
    assert refusal.values["fits"] is None
    assert refusal.values["left"] == 2


def test_a_span_is_moved_to_the_next_quarter_that_fits() -> None:
    new = wanted(span("12-01 09:10", "12-01 11:40"))
    other = wanted(span("12-01 10:00", "12-01 13:05"), 2, "nlp")
    refusal = refused(new, other)
    assert refusal.message.endswith("It would fit from 2026-12-01 13:15 to 2026-12-01 15:45.")
    lunch = wanted(hours("tue", "14:00", "15:00"), 2, "cv")
    assert refused(new, other, lunch).values["fits"] == span("12-01 15:00", "12-01 17:30")
    gap = wanted(span("12-01 09:00", "12-01 10:00"), 2, "nlp")
    assert refused(new, gap).values["fits"] == span("12-01 10:00", "12-01 12:30")


def test_a_span_is_looked_for_in_four_weeks() -> None:
    new = wanted(span("11-02 10:00", "11-02 12:00"))
    begins = datetime(2026, 11, 2)  # noqa: DTZ001 - local
    for days, there in ((27, True), (28, True), (29, False)):
        other = wanted(Span(begins, begins + days * DAY), 2, "nlp")
        assert (refused(new, other).values["fits"] is not None) == there


def test_no_proposal_lies_in_a_clock_change() -> None:
    # Berlin, 25 October 2026: the hour from 02:00 comes twice; 28 March 2027: never
    for day, after in (("2026-10-25", "03:00"), ("2027-03-28", "03:00")):
        berlin = {"zone": "Europe/Berlin", "now": datetime(2026, 10, 1, tzinfo=UTC)}
        new = wanted(parse_when(begins=f"{day}T00:30", ends=f"{day}T01:30", **berlin),
                     zone="Europe/Berlin")
        other = wanted(parse_when(begins=f"{day}T00:00", ends=f"{day}T02:59" if day < "2027"
                                  else f"{day}T03:00", **berlin), 2, "nlp", zone="Europe/Berlin")
        with pytest.raises(BadInput) as caught:
            check(new, [other], TOTALS, (), berlin["now"], RULES)
        fits = caught.value.values["fits"]
        assert isinstance(fits, Span)
        assert f"{fits.begins:%Y-%m-%d %H:%M}" == f"{day} {after}"


@pytest.mark.parametrize(("length", "day", "rival_ends", "begins"), [
    (60, "2026-10-25", "01:15", "03:00"),  # 02:15 for the second time: nobody can say so
    (60, "2027-03-28", "00:15", "03:00"),  # from 01:15 it would end at 02:15, which is not there
    (90, "2027-03-28", "00:30", "03:00"),  # from 01:30 to 03:00 is half an hour
    (25 * 60, "2027-03-27", "00:15", "02:00"),  # the same of a day and an hour
    (45, "2027-03-28", "00:00", "01:00"),
])
def test_a_proposal_can_be_said_and_is_as_long(
    length: int, day: str, rival_ends: str, begins: str
) -> None:
    local = datetime.fromisoformat(f"{day}T00:00")
    new = wanted(Span(local, local + timedelta(minutes=length)), zone="Europe/Berlin")
    until = datetime.fromisoformat(f"{day}T{rival_ends}")
    other = wanted(Span(until - DAY, until), 2, "nlp", zone="UTC")
    early = datetime(2026, 10, 1, tzinfo=UTC)
    with pytest.raises(BadInput) as caught:
        check(new, [other], TOTALS, (), early, RULES)
    fits = caught.value.values["fits"]
    assert isinstance(fits, Span)
    assert f"{fits.begins:%Y-%m-%d %H:%M}" == f"{day} {begins}"
    check(replace(new, when=fits), [other], TOTALS, (), early, RULES)


def test_nothing_is_proposed_where_the_others_were_not_looked_at() -> None:
    begun = Span(datetime(2026, 10, 5), datetime(2026, 11, 4))  # noqa: DTZ001 - local
    others = [wanted(span("11-01 12:00", "11-05 00:00"), 2, "nlp"),
              wanted(span("12-04 00:00", "12-05 00:00"), 2, "cv")]
    assert refused(wanted(begun), *others).values["fits"] is None
    new = wanted(hours("mon", "10:00", "12:00", first="2026-11-02"), 2)
    weekly = wanted(hours("mon", "10:00", "12:00", first="2026-11-23"), 1, "nlp")
    late = wanted(parse_when(begins="2027-12-20T00:00", ends="2027-12-21T00:00",
                             zone="Asia/Seoul", now=NOW), 3, "cv")
    refused(new, weekly, late, busy=[NOW + 39 * DAY] * 2)


def test_in_autumn_two_classes_one_after_the_other_overlap() -> None:
    first, second = (
        Reservation(x, x, SMALL, 3, Weekly((6,), time(a), time(b), date(2026, 1, 1)), zone)
        for x, a, b, zone in (("a", 1, 2, "Europe/Berlin"), ("b", 2, 3, "Europe/Berlin"))
    )
    # the hour from 02:00 comes twice next October
    assert "At 2027-10-31 02:00" in refused(second, first).message


def test_a_conflict_in_a_year_is_found() -> None:
    new = wanted(hours("mon", "10:00", "12:00"))
    late = parse_when(begins="2027-11-08T11:00", ends="2027-11-08T13:00", zone="UTC", now=NOW)
    check(new, [wanted(late, 4, "nlp", zone="UTC")], TOTALS, (), NOW, RULES)
    assert "At 2027-11-08 11:00" in refused(new, wanted(late, 4, "nlp")).message


# ---- who holds slices now -----------------------------------------------------------------------


def test_slices_that_are_promised_to_others_are_waited_for() -> None:
    new = wanted(span("11-01 11:00", "11-01 13:00"))  # in half an hour
    noon = NOW + timedelta(minutes=90, seconds=5)
    check(new, (), TOTALS, [noon], NOW, RULES)
    check(new, (), TOTALS, [NOW + timedelta(minutes=30)] * 4, NOW, RULES)
    check(new, (), TOTALS, [NOW - DAY] * 4, NOW, RULES)
    refusal = refused(new, busy=[noon, NOW + timedelta(hours=4), NOW + timedelta(minutes=5)])
    assert refusal.message == (
        "At 2026-11-01 11:00 (Asia/Seoul) 2 of 4 slices of 1g.5gb are not free yet: they are "
        "promised to others. Enough are free from 2026-11-01 12:01 on at the earliest. It would "
        "fit from 2026-11-01 12:15 to 2026-11-01 14:15."
    )
    assert (refusal.reason, refusal.status) == ("reservation-conflict", 409)


def test_outsiders_leave_a_margin_before_the_hours_begin() -> None:
    new = wanted(span("11-01 11:00", "11-01 13:00"))
    busy = [NOW + timedelta(minutes=25)] * 2
    check(new, (), TOTALS, busy, NOW, RULES)
    with pytest.raises(BadInput, match=r"from 2026-11-01 11:05 on.*from 2026-11-01 11:15 to"):
        check(new, (), TOTALS, busy, NOW, Rules())


def test_hours_of_the_week_may_begin_on_a_later_date() -> None:
    new = wanted(hours("mon sun", "10:00", "12:00"))  # it is Sunday, 10:30
    refusal = refused(new, busy=[NOW + timedelta(minutes=10)] * 2)
    assert refusal.message.endswith("It would fit with 2026-11-02 as the first date.")
    only = wanted(hours("sun", "10:00", "12:00", last="2026-11-01"))
    refusal = refused(only, busy=[NOW + timedelta(minutes=10)] * 2)
    assert refusal.values["fits"] == replace(only.when, start=time(10, 45), end=time(12, 45))


def test_other_reservations_and_holders_count_together() -> None:
    new = wanted(span("11-01 11:00", "11-01 13:00"), 2)
    other = wanted(span("11-01 12:00", "11-01 14:00"), 2, "nlp")
    held = [NOW + timedelta(hours=2)]  # until 12:30
    check(new, [other], TOTALS, (), NOW, RULES)
    check(new, (), TOTALS, held, NOW, RULES)
    refusal = refused(new, other, busy=held)
    assert "At 2026-11-01 12:00" in refusal.message
    assert refusal.values["fits"] == span("11-01 12:30", "11-01 14:30")



def test_all_that_is_asked_of_the_timetable_is_there() -> None:
    one = wanted(hours("mon", "10:00", "12:00"))
    begins = datetime(2026, 11, 2, 1, tzinfo=UTC)
    assert next_window(one, NOW) == Window(begins, begins + timedelta(hours=2))
    assert week_of(NOW, "UTC", 6, time(0))[0] == NOW.replace(hour=0, minute=0)
