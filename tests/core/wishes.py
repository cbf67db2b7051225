"""Reservations that somebody might wish for."""

from datetime import UTC, date, datetime, time, timedelta

from hypothesis import strategies as st

from hub.core.rules import Reservation, Rules, Span, Weekly
from hub.core.timetable import parse_when

NOW = datetime(2026, 11, 1, 1, 30, tzinfo=UTC)  # a Sunday; 10:30 in Seoul
SMALL, BIG = "1g.5gb", "3g.20gb"
TOTALS = {SMALL: 4, BIG: 2}
RULES = Rules(margin=timedelta(0))
DAY = timedelta(days=1)
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ZONES = st.sampled_from(["Asia/Seoul", "Europe/Berlin", "America/Havana", "UTC"])
QUARTERS = st.integers(0, 95)
BUSY = st.lists(st.integers(-60, 2000).map(lambda x: NOW + timedelta(minutes=x)), max_size=4)


def typed(one: Reservation) -> Weekly | Span:
    """The same through the form, as somebody would type what was proposed."""
    when = one.when
    if isinstance(when, Span):
        return parse_when(
            begins=f"{when.begins:%Y-%m-%dT%H:%M}", ends=f"{when.ends:%Y-%m-%dT%H:%M}",
            zone=one.zone, now=NOW,
        )
    return parse_when(
        days=[DAYS[x] for x in when.days], start=f"{when.start:%H:%M}", end=f"{when.end:%H:%M}",
        first=str(when.first), last=str(when.last or ""), zone=one.zone, now=NOW,
    )


@st.composite
def wishes(draw: st.DrawFn) -> Reservation:
    start = draw(QUARTERS)
    length = draw(st.integers(1, 24))
    if draw(st.booleans()):
        end = min(start + length, 96) % 96
        first = date(2026, 10, 1) + draw(st.integers(0, 60)) * DAY
        last = draw(st.none() | st.integers(40, 200))
        when: Weekly | Span = Weekly(
            tuple(sorted(draw(st.sets(st.integers(0, 6), min_size=1, max_size=7)))),
            time(start // 4, start % 4 * 15), time(end // 4, end % 4 * 15), first,
            None if last is None else first + last * DAY,
        )
    else:
        begins = datetime(2026, 11, 3) + draw(st.integers(0, 20)) * DAY  # noqa: DTZ001 - local
        begins += start * timedelta(minutes=15)
        when = Span(begins, begins + length * draw(st.sampled_from([1, 9])) * timedelta(minutes=15))
    return Reservation("", "ai", SMALL, draw(st.integers(1, 4)), when, draw(ZONES))
