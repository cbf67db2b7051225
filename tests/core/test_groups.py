"""Settings of groups as somebody typed them, and sums of use that always add up."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core import claims
from hub.core.groups import changed
from hub.core.lease import Kind, Lease, Request, Stage, State
from hub.core.rules import Group, House, Reservation, Rules, Span
from hub.core.usage import read_moment, usage_rows
from hub.errors import BadInput

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
TODAY = date(2026, 11, 23)


@pytest.mark.parametrize(("key", "value", "read"), [
    ("weight", "2", 2.0), ("weight", " 0.5 ", 0.5), ("weight", 1000, 1000.0),
    ("quota", "40", 40.0), ("quota", "40h", 40.0), ("quota", "40 H", 40.0), ("quota", 0.1, 0.1),
    ("quota", "none", None), ("quota", "", None), ("quota", None, None), ("quota", "NONE", None),
    ("user_quota", 1.25, 1.25), ("ends", "2026-12-18", date(2026, 12, 18)), ("ends", None, None),
    ("ends", "none", None), ("ends", "2026-11-23", TODAY),
])
def test_what_can_be_set(key: str, value: object, read: object) -> None:
    group = changed(Group("ml", 7, 7, 7, date(2020, 1, 1)), {key: value}, TODAY)
    assert getattr(group, key) == read


@pytest.mark.parametrize(("key", "value", "said"), [
    ("quota", 0, "none takes it away"), ("user_quota", "0h", "none takes it away"),
    ("quota", "0.0", "none takes it away"), ("ends", "2026-11-22", "give 2026-11-23 or a later"),
])
def test_what_would_let_nobody_ask_is_refused_with_what_to_do(
    key: str, value: object, said: str
) -> None:
    with pytest.raises(BadInput, match=said) as refused:
        changed(Group("ml"), {key: value}, TODAY)
    assert refused.value.reason == "group"


def test_what_a_form_sends_unchanged_is_not_judged_anew() -> None:
    group = Group("ml", 1.0, 0.0, 0.0, date(2020, 1, 1))
    same = {"quota": 0, "user_quota": "0", "ends": "2020-01-01"}
    assert changed(group, same | {"weight": 2}, TODAY) == replace(group, weight=2.0)


@given(
    st.sampled_from(["weight", "quota", "user_quota", "ends"]),
    st.one_of(st.text(), st.floats(), st.integers(), st.booleans(), st.none(), st.lists(st.none())),
)
def test_whatever_is_typed_is_read_or_refused_by_name(key: str, value: object) -> None:
    group, refused = Group("ml"), None
    try:
        group = changed(group, {key: value}, TODAY)
    except BadInput as e:
        refused = e
    assert refused is None or (refused.reason == "group" and len(refused.message) < 300)
    assert 0 < group.weight <= 1000
    assert all(x is None or 0 < x <= 10**6 for x in (group.quota, group.user_quota))
    assert group.ends is None or group.ends >= TODAY


@given(st.text())
def test_whatever_is_typed_is_a_moment_or_refused(text: str) -> None:
    reason, read = "", NOW
    try:
        read = read_moment(text, "Asia/Seoul", NOW)
    except BadInput as e:
        reason = e.reason
    assert reason in ("", "bad-request")
    assert read.tzinfo is UTC


@pytest.mark.parametrize(("text", "read"), [
    ("7d", NOW - timedelta(days=7)), ("2w", NOW - timedelta(weeks=2)), ("12h", NOW - 12 * HOUR),
    ("2026-11-23", NOW - 21 * HOUR), ("2026-11-23T12:00Z", NOW),
    ("2026-11-23 21:00", NOW), ("2026-11-23T12:00+09:00", NOW - 9 * HOUR),
])
def test_moments(text: str, read: datetime) -> None:
    assert read_moment(text, "Asia/Seoul", NOW) == read


def _lease(n: int, user: str, begin: int, hours: int, waited: int) -> Lease:
    granted = NOW + begin * HOUR
    return Lease(
        Request(f"l{n}", user, Kind.SERVER, "", "1g.5gb", "i", granted - waited * HOUR, "ml"),
        Stage.RELEASED, granted_at=granted, draining_at=granted + hours * HOUR, rate=1.0,
    )


LEASES = st.lists(st.tuples(
    st.sampled_from("abc"), st.integers(-60, 20), st.integers(0, 30), st.integers(0, 9),
), max_size=12)


@given(LEASES, st.integers(-50, 0), st.integers(1, 50), st.sampled_from("abcd"))
def test_rows_add_up_whoever_is_named(
    drawn: list[tuple[str, int, int, int]], begin: int, length: int, named: str
) -> None:
    leases = [_lease(i, *x) for i, x in enumerate(drawn)]
    span = NOW + begin * HOUR, NOW + (begin + length) * HOUR
    house = House()
    all_in_one = usage_rows(leases, house, *span, lambda *_: None)
    each = usage_rows(leases, house, *span, lambda _, user: user)
    some = usage_rows(leases, house, *span, lambda _, user: user if user == named else None)
    for rows in (each, some):
        assert sum(x.slice_hours for x in rows) == pytest.approx(
            sum(x.slice_hours for x in all_in_one))
        assert sum(x.leases for x in rows) == len(leases)
    assert {x.user for x in some} <= {named, None}
    assert all(x.slice_hours >= 0 for x in each)


def test_use_is_the_groups_whose_reservation_it_was() -> None:
    made = Reservation("r", "vision", "1g.5gb", 1, Span(NOW, NOW + HOUR), "UTC")
    lease = replace(_lease(1, "a", -1, 1, 0), reservation="r")
    house = House(reservations={"r": made})
    rows = usage_rows([lease], house, NOW - HOUR, NOW, lambda _, user: user)
    assert [(x.group, x.user) for x in rows] == [("vision", "a")]


def test_who_names_no_group_asks_in_one_that_has_not_ended() -> None:
    ends = {"old": date(2026, 11, 23)}
    groups = {k: Group(k, ends=x) for k, x in ends.items()}
    state = State(house=House(Rules(zone="Asia/Seoul"), groups=groups))
    # its last day is over at midnight in Seoul, which is 15:00 UTC
    for hours, first in ((2.9, "old"), (3.1, "new")):
        at = NOW + hours * HOUR
        assert claims.default_group(state, ("old", "new"), at) == first
    later = NOW + 24 * HOUR
    assert claims.default_group(state, ("old",), later) == "old"  # to be refused by its name
    assert claims.default_group(state, (), later) == ""
